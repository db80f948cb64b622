"""What every endpoint of the API shares: errors, pagination, and how strictly input is read."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NoReturn, override

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend, IsoDateTimeFilter
from rest_framework import exceptions, status
from rest_framework.fields import ChoiceField, DateTimeField, Field
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.relations import SlugRelatedField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from config.errors import (
    DomainError,
    InvalidInputError,
    NotFoundError,
    SuspendedError,
    TooLargeError,
)

RETRY_AFTER_SECONDS = 5
DOMAIN_STATUSES: dict[type[DomainError], int] = {
    TooLargeError: status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    SuspendedError: status.HTTP_403_FORBIDDEN,
}
POSITION = re.compile("[0-9]{1,18}")
LIMIT = re.compile("[0-9]{1,9}")
# What a database cannot store as text: the zero character and halves of surrogate pairs.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class StrictJSONParser(JSONParser):
    """Reads JSON whose texts can be stored and sent back."""

    @override
    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            document = self.load(*args, **kwargs)
        except RecursionError as error:
            raise exceptions.ParseError("The body is nested too deeply to be read.") from error
        if (path := path_of_unstorable_text(document)) is not None:
            message = "Texts cannot hold the character U+0000 or half of a surrogate pair."
            raise InvalidInputError(message, field=path, code="invalid_character")
        return document

    def load(self, *args: Any, **kwargs: Any) -> Any:
        """Return the document of a stream; raises ParseError."""
        return super().parse(*args, **kwargs)


def path_of_unstorable_text(document: Any) -> str | None:
    """Return the path of a text that cannot be stored, or of what has one for its name."""
    waiting = [("", document)]
    while waiting:
        path, value = waiting.pop()
        inner: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, str) and UNSTORABLE.search(value):
            return path
        if isinstance(value, dict):
            if any(UNSTORABLE.search(name) for name in value):
                return path
            inner = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        waiting += [(f"{path}.{name}".lstrip("."), item) for name, item in inner]
    return None


class KeysetPagination(CursorPagination):
    """Pages by key, stable while rows are added: `{"next": URL or null, "results": [...]}`."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 500

    @override
    def get_page_size(self, request: Request) -> int | None:
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not LIMIT.fullmatch(text) or not 1 <= int(text) <= self.max_page_size:
            message = f"Give a whole number of rows from 1 to {self.max_page_size}."
            raise InvalidInputError(message, field=self.page_size_query_param)
        return int(text)

    @override
    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor: Cursor | None = super().decode_cursor(request)
        position = None if cursor is None else cursor.position
        if position is not None and not POSITION.fullmatch(str(position)):
            raise exceptions.NotFound(self.invalid_cursor_message)
        return cursor

    @override
    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.get_next_link(), "results": data})

    @override
    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for each in parameters:
            if each["name"] == self.page_size_query_param:
                each["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return parameters

    @override
    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {"type": "string", "format": "uri", "nullable": True},
                "results": schema,
            },
        }


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # it has no types
    """Narrows lists down, and refuses what it does not know: a misspelt filter finds everything.

    What a list reads from the address by itself is in its view's `query_parameters`.
    """

    @override
    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        if view.action == "list":
            known = self.known_parameters(queryset, view)
            for name in request.query_params:
                if name not in known:
                    message = f"There is no parameter {name!r} here. Known: {', '.join(known)}."
                    raise InvalidInputError(message, field=name)
        return super().filter_queryset(request, queryset, view)

    def known_parameters(self, queryset: Any, view: Any) -> list[str]:
        filterset = self.get_filterset_class(view, queryset)
        names = [] if filterset is None else list(filterset.base_filters)
        names += getattr(view, "query_parameters", ())
        if view.paginator is not None:
            names += [view.paginator.cursor_query_param, view.paginator.page_size_query_param]
        return names


class KeyField(SlugRelatedField[Any]):
    """An object that is named by its key."""

    default_error_messages = {"does_not_exist": "There is no {what} with the key {value!r}."}

    def __init__(self, queryset: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(slug_field="key", queryset=queryset, **kwargs)
        self.what = queryset.model._meta.verbose_name

    @override
    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        super().fail(key, what=self.what, **kwargs)


class OneOfField(ChoiceField):
    """One of a few words."""

    default_error_messages = {"invalid_choice": "{input!r} is none of {known}."}

    @override
    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        super().fail(key, known=", ".join(map(str, self.choices)), **kwargs)


class StrictSerializer(Serializer[Any]):
    """A serializer that refuses fields it does not know: a misspelt one is never just ignored."""

    serializer_choice_field: ClassVar[type[Field[Any, Any, Any, Any]]] = OneOfField

    @override
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(
                    name for name, field in self.fields.items() if not field.read_only
                )
                message = f"There is no such field. Known: {known}."
                raise exceptions.ValidationError({name: [message] for name in unknown})
        return super().to_internal_value(data)


class InstantField(DateTimeField):
    """An RFC 3339 instant. One without an offset could mean any of the world's zones."""

    default_error_messages = {"naive": "Write the offset too, such as 2026-01-31T12:00:00Z."}

    @override
    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("naive")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")


class InstantFormField(IsoDateTimeField):  # type: ignore[misc]  # django-filter has no types
    """An instant in the query, read as one in a body is."""

    @override
    def to_python(self, value: object) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            at: datetime = InstantField().to_internal_value(str(value))
        except exceptions.ValidationError as error:
            raise ValidationError([str(each) for each in error.detail]) from error
        return at


class InstantFilter(IsoDateTimeFilter):  # type: ignore[misc]  # django-filter has no types
    field_class = InstantFormField


def error_response(
    http_status: int, code: str, message: str, details: Any = None, retry_after: int | None = None
) -> Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return Response({"error": error}, status=http_status, headers=headers)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every failure as `{"error": {"code", "message", "details"?}}`."""
    match error:
        case NotFoundError() | Http404():
            return error_response(404, "not_found", "Nothing is here, or it is not yours to see.")
        case InvalidInputError():
            details = {error.field: [error.message]} if error.field else None
            return error_response(422, error.code, error.message, details)
        case DomainError():
            http_status = DOMAIN_STATUSES.get(type(error), status.HTTP_409_CONFLICT)
            return error_response(http_status, error.code, error.message)
        case exceptions.ValidationError():
            return error_response(422, "invalid", first_message(error.detail), error.detail)
        case exceptions.Throttled():
            wait = int(getattr(error, "wait", None) or RETRY_AFTER_SECONDS) + 1
            return error_response(429, "rate_limited", str(error.detail), retry_after=wait)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            response = error_response(401, "unauthenticated", str(error.detail))
            response["WWW-Authenticate"] = "Bearer"
            return response
        case exceptions.PermissionDenied() | PermissionDenied():
            message = str(getattr(error, "detail", error)) or "This key may not do that."
            return error_response(403, "forbidden", message)
        case exceptions.APIException():
            return error_response(error.status_code, str(error.default_code), str(error.detail))
        case OperationalError() | InterfaceError():
            message = "The database cannot be reached; nothing was stored. Send the request again."
            return error_response(
                status.HTTP_503_SERVICE_UNAVAILABLE,
                "database_unavailable",
                message,
                retry_after=RETRY_AFTER_SECONDS,
            )
    return None


def first_message(detail: Any, path: str = "") -> str:
    """Return the first of nested validation messages, with the path of its field."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        inner = path if key == "non_field_errors" else f"{path}.{key}".strip(".")
        return first_message(value, inner)
    if isinstance(detail, list):
        filled = [(index, item) for index, item in enumerate(detail) if item]
        index, item = filled[0]
        is_nested = isinstance(item, (dict, list))
        return first_message(item, f"{path}.{index}".strip(".") if is_nested else path)
    return f"{path}: {detail}" if path else str(detail)
