"""Every request of a log counts once, and every other line is accounted for."""

from pathlib import Path

import pytest

from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Event, IngestBatch, LogImport, LogImportLine
from metering.services import log_lines
from tests.factories import NOW, make_customer
from tests.metering.ingest.reports import partitions_in_use
from tests.metering.log_import.lines import counts, endpoints, line, run_import, write

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_lines_become_events_with_what_the_mapping_says(acme: Customer, log: Path) -> None:
    write(log, [line(at="17/May/2015:12:05:03 +0200")])
    run = run_import(log, endpoints=[{"match": "^/v1/s", "name": "/v1/{any}"}])
    stored = Event.objects.get()
    assert (stored.customer_id, stored.type) == (acme.pk, "http.request")
    assert stored.timestamp.isoformat() == "2015-05-17T10:05:03+00:00"
    assert stored.properties == {
        "endpoint": "/v1/{any}", "method": "GET", "status": 200, "bytes": 512,
        "user_id": "192.0.2.7",
    }  # fmt: skip
    assert run.customers == {acme.pk: 1}
    assert IngestBatch.objects.get().source == "log"


def test_importing_a_file_again_adds_nothing(acme: Customer, log: Path) -> None:
    write(log, [line(host=f"192.0.2.{number}") for number in range(20)])
    assert counts(run_import(log)) == {"lines": 20, "accepted": 20}
    assert counts(run_import(log)) == {"lines": 20, "duplicate": 20}
    assert Event.objects.count() == 20


def test_identical_lines_are_as_many_requests(acme: Customer, log: Path) -> None:
    write(log, [line(), line(), line(size="9"), line()])
    assert counts(run_import(log)) == {"lines": 4, "accepted": 4}
    assert counts(run_import(log)) == {"lines": 4, "duplicate": 4}


def test_a_rotated_file_that_overlaps_adds_only_what_is_new(acme: Customer, tmp_path: Path) -> None:
    lines = [line(f"GET /{number // 2} HTTP/1.1") for number in range(20)]
    run_import(write(tmp_path / "access.log.1", lines[:12]))
    run = run_import(write(tmp_path / "access.log", lines[7:]))
    assert counts(run) == {"lines": 13, "accepted": 8, "duplicate": 5}
    assert sorted(endpoints()) == sorted(f"/{number // 2}" for number in range(20))


def test_a_file_that_grew_adds_its_new_lines(acme: Customer, log: Path) -> None:
    run_import(write(log, [line("GET /1 HTTP/1.1")]))
    run = run_import(write(log, [line("GET /1 HTTP/1.1"), line("GET /2 HTTP/1.1")]))
    assert counts(run) == {"lines": 2, "accepted": 1, "duplicate": 1}


def test_line_ends_of_other_systems_make_no_other_event(acme: Customer, log: Path) -> None:
    run_import(write(log, [line()]))
    assert counts(run_import(write(log, [line()], ending=b"\r\n")))["duplicate"] == 1
    assert counts(run_import(write(log, [line()], ending=b"")))["duplicate"] == 1


def test_a_last_line_that_breaks_off_waits_until_it_is_whole(acme: Customer, log: Path) -> None:
    log.write_text(line() + "\n" + line("GET /2 HTTP/1.1")[:-5])
    assert counts(run_import(log)) == {"lines": 2, "accepted": 1, "unparsed": 1}
    write(log, [line(), line("GET /2 HTTP/1.1")])
    assert counts(run_import(log)) == {"lines": 2, "accepted": 1, "duplicate": 1}


def test_lines_that_become_no_event_are_counted_and_kept(acme: Customer, log: Path) -> None:
    odd: list[str | bytes] = [
        line(user="acme"),
        line("-", user="acme"),
        b"\xff\x00 garbage",
        line(user="nobody"),
        line(),
        line(user="acme", at="17/May/1969:10:05:03 +0000"),
        line(user="acme", status=301),
        "",
    ]
    run = run_import(write(log, odd), customer={"field": "remote_user"}, ignore={"status": [301]})
    assert counts(run) == {
        "lines": 8, "accepted": 1, "rejected": 1, "ignored": 2, "unmapped": 2, "unparsed": 2,
    }  # fmt: skip
    kept = LogImportLine.objects.order_by("number").values_list("number", "kind", "reason", "text")
    assert [(number, kind) for number, kind, _, _ in kept] == [
        (2, "unparsed"), (3, "unparsed"), (4, "unmapped"), (5, "unmapped"), (6, "rejected"),
    ]  # fmt: skip
    assert all(reason.endswith(".") for _, _, reason, _ in kept)
    assert kept[1][3] == r"\xff\u0000 garbage"


def test_the_import_is_written_down(acme: Customer, log: Path) -> None:
    run_import(write(log, [line(), "x"]))
    kept = LogImport.objects.get()
    assert (kept.name, kept.format, kept.status) == ("access.log", "combined", "completed")
    assert (kept.lines, kept.accepted, kept.unparsed) == (2, 1, 1)
    assert (kept.started_at, kept.finished_at) == (NOW, NOW)
    assert kept.mapping["customer"] == {"value": "acme"}


def test_a_dry_run_tells_the_same_counts_and_stores_nothing(acme: Customer, log: Path) -> None:
    write(log, [line(), line(), "x", line("GET /2 HTTP/1.1")])
    first = run_import(log, is_dry_run=True)
    assert not LogImport.objects.exists()
    assert not IngestBatch.objects.exists()
    assert (counts(first), first.customers) == (counts(run_import(log)), {acme.pk: 3})
    assert counts(run_import(log, is_dry_run=True)) == {"lines": 4, "duplicate": 3, "unparsed": 1}


def test_batches_and_forgetting_change_nothing_for_lines_close_together(
    acme: Customer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "PIECE_BYTES", 700)
    monkeypatch.setattr(log_lines, "REMEMBERED_LINES", 10)
    write(log, [line(f"GET /{number // 3} HTTP/1.1") for number in range(100)])
    assert counts(run_import(log)) == {"lines": 100, "accepted": 100}
    assert counts(run_import(log)) == {"lines": 100, "duplicate": 100}
    assert IngestBatch.objects.count() == 34


def test_partitions_are_there_before_old_lines_are(acme: Customer, log: Path) -> None:
    write(log, [line(at="31/Dec/2014:23:59:59 -0100"), line(at="01/Feb/2015:00:00:00 +0100")])
    run_import(log)
    assert partitions_in_use() == {"metering_event_2015_01"}


@pytest.mark.parametrize(
    "customer",
    [
        {"value": "nobody"},
        {"field": "remote_host", "map": {"192.0.2.7": "acme", "192.0.2.8": "nobody"}},
    ],
)
def test_a_customer_that_is_not_there_stops_the_import_before_it_begins(
    acme: Customer, log: Path, customer: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError, match="There is no customer 'nobody'"):
        run_import(write(log, [line()]), customer=customer)
    assert not LogImport.objects.exists()


def test_lines_count_for_the_customers_they_name(acme: Customer, log: Path) -> None:
    globex = make_customer("globex")
    write(log, [line(user=name) for name in ("acme", "globex", "globex")])
    run = run_import(log, customer={"field": "remote_user"})
    assert run.customers == {acme.pk: 1, globex.pk: 2}


def test_the_same_line_under_another_mapping_is_a_conflict(acme: Customer, log: Path) -> None:
    run_import(write(log, [line()]))
    run = run_import(log, endpoints=[{"match": ".", "name": "any"}])
    assert counts(run) == {"lines": 1, "conflict": 1}
    assert LogImportLine.objects.get().reason.startswith("This id belongs to an event")
    assert endpoints() == ["/v1/search"]


def test_endless_lines_are_cut_and_the_next_one_is_read(
    acme: Customer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "LONGEST_LINE", 1_000)
    run = run_import(write(log, [line(), "x" * 2_500, line("GET /2 HTTP/1.1")]))
    assert counts(run) == {"lines": 3, "accepted": 2, "unparsed": 1}


def test_an_empty_file_is_imported_too(acme: Customer, log: Path) -> None:
    assert counts(run_import(write(log, []))) == {}
    assert LogImport.objects.get().status == "completed"
