"""What is answered where no view is, or one broke: JSON under /api/, a page elsewhere."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    page = defaults.bad_request(request, exception)
    return api_error(request, page, "bad_request", "The request cannot be understood.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    page = defaults.page_not_found(request, exception)
    message = "Nothing is at this address; /api/v1/docs/ lists all there are."
    return api_error(request, page, "not_found", message)


def server_error(request: HttpRequest) -> HttpResponse:
    page = defaults.server_error(request)
    message = "The server failed. Send the request again; what was stored counts once."
    return api_error(request, page, "server_error", message)


def api_error(request: HttpRequest, page: HttpResponse, code: str, message: str) -> HttpResponse:
    """Return `page`, or the same status as the API tells its errors."""
    if not request.path_info.startswith(API):
        return page
    error = {"error": {"code": code, "message": message}}
    return JsonResponse(error, status=page.status_code)
