"""Host applications, and requests to them."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Start = Callable[..., Any]


def hello(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def streaming(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    start_response("201 Created", [])
    yield b"hel"
    yield b"lo"


def failing(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    raise ZeroDivisionError


def get(app: Callable[..., Iterable[bytes]], path: str = "/v1/hello", **environ: Any) -> bytes:
    """Ask a WSGI application as a server does, to the end of its answer."""
    request = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path} | environ
    body = app(request, lambda status, headers, exc_info=None: None)
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


@contextmanager
def silent_server() -> Iterator[str]:
    """Yield the address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def no_server() -> Iterator[str]:
    """Yield an address that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield f"http://127.0.0.1:{port}"
