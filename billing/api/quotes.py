"""`POST /quotes`: what usage would cost. One document, a list, or one on each line."""

from collections.abc import Iterator
from typing import Any, BinaryIO, override

import msgspec
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.services.quotes import price_lines, price_quote, price_quotes
from config.api import StrictJSONParser
from config.errors import TooLargeError
from customers.principals import Scope

LINES_TYPE = "application/x-ndjson"
MOST_BYTES = 10 * 1024 * 1024

QUOTE_SCHEMA: dict[str, Any] = {"type": "object", "additionalProperties": True}
QUOTES_SCHEMA = {"oneOf": [QUOTE_SCHEMA, {"type": "array", "items": QUOTE_SCHEMA}]}
LINES_SCHEMA = {"type": "string", "description": "One quote document on each line."}


class LinesParser(BaseParser):
    """Reads a body as lines, which whoever answers decodes one by one."""

    media_type = LINES_TYPE

    @override
    def parse(self, stream: BinaryIO, *args: Any, **kwargs: Any) -> list[bytes]:  # type: ignore[override]
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise TooLargeError(f"A request takes at most {MOST_BYTES} bytes: send several.")
        return body.split(b"\n")


class QuoteView(APIView):
    """What usage would cost: a quote document in, the lines and totals of its invoice out."""

    write_scope = Scope.BILLING_READ
    parser_classes = [StrictJSONParser, LinesParser]

    @extend_schema(
        summary="Price usage",
        description="Nothing is stored. A document is answered with its result, or with 422. In a "
        "list, and on lines (answered line by line as they are priced), a document that cannot be "
        "priced is answered with an error in its place.",
        request={"application/json": QUOTES_SCHEMA, LINES_TYPE: LINES_SCHEMA},
        responses={
            (200, "application/json"): QUOTES_SCHEMA,
            (200, LINES_TYPE): OpenApiTypes.STR,
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        documents: Any = request.data
        if (request.content_type or "").partition(";")[0].strip() == LINES_TYPE:
            return StreamingHttpResponse(answers(documents), content_type=LINES_TYPE)
        if isinstance(documents, list):
            return Response(price_quotes(documents=documents))
        return Response(price_quote(document=documents))


def answers(lines: list[bytes]) -> Iterator[bytes]:
    for result in price_lines(lines=lines):
        yield msgspec.json.encode(result) + b"\n"
