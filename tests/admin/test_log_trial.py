"""Staff try a mapping on lines of a log; what would count is shown, and nothing is stored."""

import gzip
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from customers.models import Customer
from metering.models import Event, LogImport
from metering.selectors.log_imports import LOCK
from metering.services import log_trial
from tests.metering.log_import.lines import line, run_import, write

PAGE = reverse("admin:log_trial")
MAPPING = "{event_type: http.request, customer: {field: remote_user}, ignore: {status: [301]}}"
LINES = [
    line(user="acme"),
    line("GET /v1/new HTTP/1.1", user="acme"),
    line(user="nobody"),
    line(user="acme", status=301),
    line("GET /<script> HTTP/1.1", user="acme", at="17/May/1969:10:05:03 +0000"),
    "garbage",
]


def try_lines(desk: Client, lines: list[str] = LINES, **changes: Any) -> Any:
    sent = {"mapping": MAPPING, "format": "auto", "lines": "\r\n".join(lines)}
    return desk.post(PAGE, sent | changes)


@pytest.fixture
def imported(acme: Customer, tmp_path: Any) -> None:
    """Import the first line, so that it counted before."""
    log = write(tmp_path / "access.log", LINES[:1])
    run_import(log, customer={"value": "acme"}, user={"field": "remote_host"})
    Event.objects.get()


def test_the_page_offers_an_example(desk: Client) -> None:
    assert "event_type: http.request" in desk.get(PAGE).content.decode()


def test_every_line_is_told_what_would_become_of_it_and_why(desk: Client, acme: Customer) -> None:
    response = try_lines(desk)
    rows = [row["line"] for row in response.context["rows"]]
    assert [(row.number, row.outcome, row.customer) for row in rows] == [
        (1, "counts", "acme"), (2, "counts", "acme"), (3, "unmapped", ""), (4, "ignored", ""),
        (5, "rejected", ""), (6, "unparsed", ""),
    ]  # fmt: skip
    assert rows[1].says == "GET /v1/new 200"
    assert rows[2].says == "There is no customer 'nobody'."
    assert rows[4].says.startswith("The timestamp lies before 1970")
    assert response.context["customers"] == [("acme", 2)]
    assert "&lt;script&gt;" in response.content.decode()
    assert not LogImport.objects.exists()
    assert not Event.objects.exists()


def test_lines_that_were_imported_are_told(desk: Client, imported: None) -> None:
    rows = try_lines(desk, LINES[:2]).context["rows"]
    assert [row["line"].outcome for row in rows] == ["rejected", "counts"]
    mapping = "{event_type: http.request, customer: {value: acme}, user: {field: remote_host}}"
    rows = try_lines(desk, LINES[:2], mapping=mapping).context["rows"]
    assert [row["line"].outcome for row in rows] == ["counted before", "counts"]


def test_a_packed_log_is_tried_from_its_beginning(
    desk: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_trial, "MOST_BYTES", 10_000)
    text = "".join(f"{line(f'GET /{number} HTTP/1.1', user='acme')}\n" for number in range(500))
    log = SimpleUploadedFile("access.log.gz", gzip.compress(text.encode()))
    trial = try_lines(desk, [], file=log).context["trial"]
    assert trial.is_cut
    assert 0 < trial.counts["accepted"] == trial.counts["lines"] < 500


def test_an_nginx_log_format_is_tried(desk: Client, acme: Customer) -> None:
    template = '$remote_user $msec "$request" $status'
    lines = ['acme 1772359200.25 "GET /v1/a HTTP/1.1" 200']
    response = try_lines(desk, lines, format="nginx", log_format=template)
    assert [row["line"].says for row in response.context["rows"]] == ["GET /v1/a 200"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lines": " "}, "Paste some lines of the log, or choose a file."),
        ({"mapping": "{"}, "The mapping is no valid YAML"),
        ({"mapping": "{event_type: x, customer: {value: nobody}}"}, "There is no customer"),
        ({"format": "nginx"}, "Give nginx&#x27;s log_format string"),
        ({"format": "alb"}, "None of the first 6 lines is in the format alb"),
    ],
)
def test_mistakes_are_told_beside_the_form(
    desk: Client, acme: Customer, changes: dict[str, Any], sentence: str
) -> None:
    response = try_lines(desk, **changes)
    assert sentence in response.content.decode()
    assert "trial" not in response.context


def test_an_import_whose_process_is_gone_reads_as_interrupted(desk: Client) -> None:
    run = LogImport.objects.create(name="access.log", format="combined", mapping={})
    address = f"/admin/metering/logimport/{run.pk}/change/"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, run.pk])
        assert "Running" in desk.get(address).content.decode()
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, run.pk])
    page = desk.get(address).content.decode()
    assert "Running" not in page
    assert "Interrupted" in page
