"""`Idempotency-Key`: a POST that is sent again under the same key is done once.

The work and the memory of its answer are one transaction: whoever dies in between leaves neither.
Only success is remembered. A refused request did nothing, so it may be put right and sent again. Nor
is an answer that is written as it is worked out: such requests store nothing.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    UnreadablePostError,
)
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.request import Request

from config.api import RETRY_AFTER_SECONDS, error_response, exception_handler
from config.errors import DomainError, InvalidInputError, SuspendedError, TooLargeError
from customers import services
from customers.api.authentication import ApiKeyAuthentication
from customers.models import ApiKey

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
PREFIX = "/api/v1/"
# Events have ids of their own, which are kept for ever.
EXEMPT = frozenset({"/api/v1/events"})
LONGEST_KEY = 255

type GetResponse = Callable[[HttpRequest], HttpResponseBase]


def idempotency_middleware(get_response: GetResponse) -> GetResponse:
    """Answer a repeated POST of the API with what it was answered first."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not is_covered(request):
            return get_response(request)
        try:
            api_key = key_of(request)
            return (
                get_response(request) if api_key is None else once(request, api_key, get_response)
            )
        except (DomainError, exceptions.APIException, OperationalError, InterfaceError) as error:
            return refusal(error)

    return middleware


def is_covered(request: HttpRequest) -> bool:
    is_ours = request.path.startswith(PREFIX) and request.path not in EXEMPT
    return is_ours and request.method == "POST" and HEADER in request.headers


def key_of(request: HttpRequest) -> ApiKey | None:
    """Return the API key that asks, or None: then the endpoint says what is wrong with it."""
    try:
        found = ApiKeyAuthentication().authenticate(Request(request))
    except (exceptions.AuthenticationFailed, SuspendedError):
        return None
    return found[1] if found else None


def once(request: HttpRequest, api_key: ApiKey, get_response: GetResponse) -> HttpResponseBase:
    name = request.headers[HEADER]
    if not 0 < len(name) <= LONGEST_KEY or not name.isprintable():
        message = f"{HEADER} is 1 to {LONGEST_KEY} printable characters."
        raise InvalidInputError(message, code="invalid_idempotency_key")
    digest = digest_of(request)
    with transaction.atomic():
        if not services.take_answer_lock(api_key=api_key, name=name):
            return in_progress()
        earlier = services.find_answer(api_key=api_key, name=name, at=timezone.now())
        if earlier is not None:
            if bytes(earlier.request_digest) != digest:
                message = f"This {HEADER} was used for another request; use a new one."
                raise InvalidInputError(message, code="idempotency_key_reused")
            return HttpResponse(
                earlier.body,
                status=earlier.status,
                content_type="application/json",
                headers={REPLAYED: "true"},
            )
        response = get_response(request)
        if 200 <= response.status_code < 300 and not response.streaming:
            services.remember_answer(
                api_key=api_key,
                name=name,
                request_digest=digest,
                status=response.status_code,
                body=body_of(response),
                at=timezone.now(),
            )
        elif response.status_code >= 500:
            transaction.set_rollback(True)
    return response


def digest_of(request: HttpRequest) -> bytes:
    try:
        body = request.body
    except RequestDataTooBig as error:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raise TooLargeError(f"A request with an {HEADER} has at most {limit} bytes.") from error
    except UnreadablePostError as error:
        raise exceptions.ParseError("The body ended before its announced length.") from error
    head = f"{request.get_full_path()}\n{request.content_type}\n"
    return sha256(head.encode() + body).digest()


def body_of(response: HttpResponseBase) -> str:
    """Return what a repeated request is answered with; what is shown only once is left out."""
    remembered: Any = getattr(response, "remembered", None)
    if remembered is not None:
        return json.dumps(remembered, default=str)
    return cast("HttpResponse", response).content.decode()


def in_progress() -> JsonResponse:
    message = f"A request with this {HEADER} is still being worked on; ask again for its answer."
    return plain(error_response(409, "request_in_progress", message, None, RETRY_AFTER_SECONDS))


def refusal(error: Exception) -> JsonResponse:
    return plain(exception_handler(error, {}))


def plain(response: Any) -> JsonResponse:
    wait = response.headers.get("Retry-After")
    headers = None if wait is None else {"Retry-After": wait}
    return JsonResponse(response.data, status=response.status_code, headers=headers)
