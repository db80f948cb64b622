"""Django, WSGI and ASGI applications answer as before, and each request is noted."""

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from customers.models import Customer
from metering.middleware import UsageASGIMiddleware, UsageReporter, UsageWSGIMiddleware
from metering.models import Event
from tests.factories import make_key
from tests.metering.capture.hosts import failing, get, hello, streaming


def greet(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(f"hello {name}")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"a", b"b"])


def fail(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(status=404)


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=500)


handler404, handler500 = missing, broken


def customer_of(request: HttpRequest) -> str:
    return request.headers["X-Customer"]


urlpatterns = [
    path("v1/greet/<str:name>/", greet),
    path("v1/stream/", stream),
    path("v1/fail/", fail),
]
GREETED = {"endpoint": "/v1/greet/<str:name>/", "method": "GET", "status": 200, "bytes": 9}


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return a list that grows by what is noted of each request, without its duration."""
    found: list[dict[str, Any]] = []

    def record(reporter: UsageReporter, event: dict[str, Any]) -> None:
        event["properties"].pop("duration")
        found.append(event["properties"])

    monkeypatch.setattr(UsageReporter, "record", record)
    monkeypatch.setenv("TALLYPORT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TALLYPORT_API_KEY", "tp_secret")
    return found


@pytest.fixture
def host(settings: Settings, noted: list[dict[str, Any]]) -> Settings:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["metering.middleware.UsageMiddleware"]
    return settings


def test_django_requests_are_noted_by_their_route(host: Settings, noted: list[Any]) -> None:
    client = Client(raise_request_exception=False)
    assert client.get("/v1/greet/jo?x=1").status_code == 404
    assert client.get("/v1/greet/bob/?x=1").content == b"hello bob"
    assert b"".join(client.get("/v1/stream/")) == b"ab"
    assert client.post("/v1/fail/").status_code == 500
    assert noted[1] == GREETED
    assert noted[2] == {"endpoint": "/v1/stream/", "method": "GET", "status": 200}
    assert [(found["endpoint"], found["status"]) for found in (noted[0], noted[3])] == [
        ("/v1/greet/jo", 404), ("/v1/fail/", 500),
    ]  # fmt: skip


def test_async_django_requests_are_noted_too(host: Settings, noted: list[Any]) -> None:
    response = asyncio.run(AsyncClient().get("/v1/greet/bob/"))
    assert response.content == b"hello bob"
    assert noted == [GREETED]


def test_django_settings_name_functions(host: Settings, noted: list[Any]) -> None:
    host.TALLYPORT_USAGE = {"user": f"{__name__}.customer_of"}
    Client().get("/v1/greet/bob/", headers={"X-Customer": "acme"})
    assert noted == [GREETED | {"user_id": "acme"}]


def test_a_function_that_is_not_there_leaves_django_alone(
    host: Settings, noted: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    host.TALLYPORT_USAGE = {"customer": "nowhere.at_all"}
    assert Client().get("/v1/greet/bob/").status_code == 200
    assert "Usage is not reported: TALLYPORT_USAGE names No module named" in caplog.text
    assert noted == []


def test_wsgi_answers_are_counted_whole_streamed_or_failed(noted: list[Any]) -> None:
    assert get(UsageWSGIMiddleware(hello)) == b"hello"
    assert get(UsageWSGIMiddleware(streaming)) == b"hello"
    with pytest.raises(ZeroDivisionError):
        get(UsageWSGIMiddleware(failing))
    assert [(found["status"], found.get("bytes")) for found in noted] == [
        (200, 5), (201, 5), (500, None),
    ]  # fmt: skip


class Route:
    path = "/v1/users/{id}"


async def asgi_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        scope["seen"] = True
        return
    if scope["path"] == "/fail":
        raise ZeroDivisionError
    scope["route"] = Route()
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})


def ask(asked_path: str, kind: str = "http") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "PUT", "path": asked_path}
    asyncio.run(UsageASGIMiddleware(asgi_app)(scope, None, send))
    return scope, sent


def test_asgi_answers_are_noted_with_the_route_of_the_framework(noted: list[Any]) -> None:
    _, sent = ask("/v1/users/7")
    assert b"".join(message.get("body", b"") for message in sent) == b"hello"
    with pytest.raises(ZeroDivisionError):
        ask("/fail")
    assert noted == [
        {"endpoint": "/v1/users/{id}", "method": "PUT", "status": 202, "bytes": 5},
        {"endpoint": "/fail", "method": "PUT", "status": 500, "bytes": 0},
    ]


def test_asgi_lifespans_pass_through(noted: list[Any]) -> None:
    scope, _ = ask("/", kind="lifespan")
    assert scope["seen"]
    assert noted == []


@pytest.mark.django_db(transaction=True)
def test_the_real_endpoint_stores_what_is_reported(live_server: LiveServer, acme: Customer) -> None:
    app = UsageWSGIMiddleware(hello, url=live_server.url, key=make_key().secret, customer="acme")
    for _ in range(12):
        get(app, "/v1/search")
    reporter = app.capture.reporter
    assert reporter is not None
    reporter.close()
    assert reporter.counts["delivered"] == 12
    stored = Event.objects.filter(customer=acme)
    assert {(event.type, event.properties["endpoint"]) for event in stored} == {
        ("http.request", "/v1/search")
    }
    assert stored.count() == 12
