"""What arrives on the connection as events: how much of it is read, unpacked and understood."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.http import UnreadablePostError
from rest_framework import exceptions
from rest_framework.request import Request

from config.errors import TooLargeError
from metering.services import cloud_events
from metering.services.decoding import Item, decode_json, decode_lines
from metering.services.event_rules import MOST_BYTES, TOO_LARGE

DEFAULT_MEDIA_TYPE = "application/json"
# The media types of requests, each with what reads it. A request that names none sends JSON.
DECODERS: dict[str, Callable[[bytes], Sequence[Item]]] = {
    DEFAULT_MEDIA_TYPE: decode_json,
    "application/x-ndjson": decode_lines,
    "application/ndjson": decode_lines,
    "application/jsonl": decode_lines,
    "application/cloudevents+json": cloud_events.decode_event,
    "application/cloudevents-batch+json": cloud_events.decode_batch,
}
CHARSETS = {"utf-8", "utf8", "us-ascii"}
ENCODINGS = {"identity": False, "gzip": True, "x-gzip": True}
READ_BYTES = 64 * 1024
GZIP_WBITS = zlib.MAX_WBITS + 16
# A gzip file may be several, one after the other; nobody needs to send many.
MOST_MEMBERS = 100


class IncompleteBody(exceptions.ParseError):
    default_code = "incomplete_body"
    default_detail = "The body ended before its announced length; nothing was stored."


class InvalidGzip(exceptions.ParseError):
    default_code = "invalid_gzip"
    default_detail = "The body is no complete gzip stream; nothing was stored."


def read_events(request: Request) -> Sequence[Item]:
    """Return the events of a request, in whatever form it sends them.

    Raises UnsupportedMediaType for other forms, TooLargeError, and what the decoder raises.
    """
    decode = decoder_for(request.content_type or DEFAULT_MEDIA_TYPE)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ENCODINGS:
        raise exceptions.UnsupportedMediaType(
            encoding, f"A body with the Content-Encoding {encoding} cannot be read; use gzip."
        )
    return decode(read_body(request, is_packed=ENCODINGS[encoding]))


def decoder_for(content_type: str) -> Callable[[bytes], Sequence[Item]]:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type not in DECODERS:
        known = ", ".join(DECODERS)
        raise exceptions.UnsupportedMediaType(
            media_type, f"Content-Type must be one of {known}, not {media_type}."
        )
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset" and charset.strip(' "') not in CHARSETS:
            raise exceptions.UnsupportedMediaType(
                media_type, f"JSON is written in UTF-8, not in {charset.strip()}."
            )
    return DECODERS[media_type]


def read_body(request: Request, *, is_packed: bool) -> bytes:
    chunks = read_chunks(request)
    return joined(unpacked(chunks) if is_packed else chunks)


def read_chunks(request: Request) -> Iterator[bytes]:
    """Yield the body as it was sent.

    Raises TooLargeError without reading on, IncompleteBody if it breaks off.
    """
    stated = stated_length(request)
    if stated > MOST_BYTES:
        raise TooLargeError(TOO_LARGE)
    stream = body_stream(request)
    count = 0
    try:
        while chunk := stream.read(READ_BYTES):
            count += len(chunk)
            if count > MOST_BYTES:
                raise TooLargeError(TOO_LARGE)
            yield chunk
    except UnreadablePostError as error:
        raise IncompleteBody from error
    if count < stated:
        raise IncompleteBody


def stated_length(request: Request) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise exceptions.ParseError("Content-Length must be a number of bytes.") from error


def body_stream(request: Request) -> Any:
    """Return what to read the body from.

    Django takes a body without a length for an empty one, although the server marks its end.
    """
    is_chunked = not request.META.get("CONTENT_LENGTH") and "wsgi.input_terminated" in request.META
    return request.META["wsgi.input"] if is_chunked else request._request


def unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of a gzip stream in small pieces, so that no bomb ever unfolds.

    Raises InvalidGzip for what is none, and for one that breaks off.
    """
    members = 1
    unpacker = zlib.decompressobj(GZIP_WBITS)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting:
                if unpacker.eof:
                    members += 1
                    unpacker = zlib.decompressobj(GZIP_WBITS)
                if members > MOST_MEMBERS:
                    raise InvalidGzip
                yield unpacker.decompress(waiting, READ_BYTES)
                waiting = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    except zlib.error as error:
        raise InvalidGzip from error
    if not unpacker.eof:
        raise InvalidGzip


def joined(chunks: Iterator[bytes]) -> bytes:
    """Return the pieces in one; raises TooLargeError at the first byte beyond the limit."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLargeError(TOO_LARGE)
    return bytes(body)
