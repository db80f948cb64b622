"""What is answered where no view is, or one broke: JSON under /api/, a page elsewhere."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_of_api(request):
        return api_error(400, "bad_request", "The request cannot be understood.")
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_of_api(request):
        message = "Nothing is at this address; /api/v1/docs/ lists all there are."
        return api_error(404, "not_found", message)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_of_api(request):
        message = "The server failed. Send the request again; what was stored counts once."
        return api_error(500, "server_error", message)
    return defaults.server_error(request)


def is_of_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API)


def api_error(status: int, code: str, message: str) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
