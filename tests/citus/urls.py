"""Pages with faults planted in them."""

from collections.abc import Iterator

from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from metering.models import Event


def find_by_digest(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Event.objects.filter(event_id="req-1").exists()))


def find_for_customer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Event.objects.filter(customer_id=1, event_id="req-1").exists()))


def copy_out(request: HttpRequest) -> HttpResponse:
    statement = "COPY (SELECT digest FROM metering_event) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        return HttpResponse(b"".join(rows))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def rows() -> Iterator[str]:
        yield from (event.event_id for event in Event.objects.filter(type="x").iterator())

    return StreamingHttpResponse(rows())


urlpatterns = [
    path("planted/orm/", find_by_digest),
    path("planted/copy/", copy_out),
    path("planted/good/", find_for_customer),
    path("planted/stream/", stream),
]
