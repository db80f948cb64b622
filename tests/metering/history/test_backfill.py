"""Backfill sessions: nothing counts before a commit, everything counts once after it."""

import json
from collections.abc import Callable
from threading import Barrier
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from metering.models import BackfillSession, Event, Meter, RefusedEvent, StagedEvents
from metering.selectors.effects import usage_of_stretches
from metering.services import backfill
from metering.services.backfill_files import load_file
from metering.services.folding import fold_pending
from metering.services.rehearsal import rehearse_correction, rehearse_session
from metering.services.verification import verify_usage
from metering.tasks import commit_backfill, resume_backfills
from tests.factories import NOW, make_customer, make_key, make_meter
from tests.metering.history.corrected import STAFF, at_once, store, used
from tests.metering.ingest.reports import counts, event

URL = "/api/v1/events?backfill=true&session=recount"
YEARS_AGO = "2021-03-15T12:00:00Z"


def lines(*documents: dict[str, Any] | str) -> list[bytes]:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in documents)
    return [text.encode() + b"\n" for text in texts]


def old(event_id: str, **fields: Any) -> dict[str, Any]:
    return event(event_id, **{"timestamp": NOW.isoformat()} | fields)


@pytest.fixture
def calls(db: None) -> Meter:
    return make_meter("calls", group_by=["endpoint"])


@pytest.fixture
def session(acme: Customer) -> BackfillSession:
    return backfill.open_session(name="recount", principal=STAFF, at=NOW)


def load(session: BackfillSession, file: list[bytes], name: str = "events.ndjson") -> Any:
    return load_file(session=session, name=name, lines=file, principal=STAFF, at=NOW)


def commit(session: BackfillSession) -> BackfillSession:
    backfill.begin_commit(session=session, principal=STAFF)
    return backfill.commit_session(session=session, at=NOW)


def test_staged_events_count_when_they_are_committed(
    acme: Customer, calls: Meter, session: BackfillSession
) -> None:
    store(acme, "known")
    file = lines(old("known", properties={}), old("a"), old("b", timestamp=YEARS_AGO), old("a"))
    report = load(session, file)
    assert (report.staged, report.refusals) == (4, 0)
    assert used(calls, acme) == 1
    done = commit(session)
    assert (done.status, done.finished_at) == ("committed", NOW)
    assert (done.accepted, done.duplicate, done.conflict, done.rejected) == (2, 2, 0, 0)
    assert used(calls, acme) == 2
    assert Event.objects.filter(batch_id__gt=0).count() == 3
    assert not StagedEvents.objects.exists()


def test_a_conflict_is_kept_for_review_when_it_is_committed(
    acme: Customer, calls: Meter, session: BackfillSession
) -> None:
    store(acme, "known", n=1)
    assert load(session, lines(old("known", properties={"n": 2}))).staged == 1
    assert commit(session).conflict == 1
    assert RefusedEvent.objects.get().event_id == "known"


def test_what_is_no_event_is_told_and_not_staged(session: BackfillSession) -> None:
    file = lines("{", old("x" * 300), old("no-time", timestamp=None), old("who", customer="nobody"))
    report = load(session, [*file, b"\n", *lines(old("good"))])
    assert (report.staged, report.refusals) == (1, 4)
    found = [(number, refusal.reason.code) for number, refusal in report.refused]
    assert found == [
        (1, "invalid_json"),
        (2, "invalid_id"),
        (3, "missing_timestamp"),
        (4, "unknown_customer"),
    ]
    session.refresh_from_db()
    assert (session.staged, session.refused) == (1, 4)


def test_csv_columns_are_properties(acme: Customer, calls: Meter, session: BackfillSession) -> None:
    file = [
        b"\xef\xbb\xbfid,type,customer,timestamp,endpoint,note\r\n",
        b'a,api.request,acme,2026-03-15T12:00:00Z,/v1/x,"two\n',
        b'lines"\r\n',
        b"b,api.request,acme,2026-03-15T12:00:00Z,,\r\n",
        b"c,api.request,acme,yesterday,,\r\n",
        b"d,api.request,acme,2026-03-15T12:00:00Z,,,more\r\n",
    ]
    report = load(session, file, "events.CSV")
    codes = [(number, refusal.reason.code) for number, refusal in report.refused]
    assert codes == [(3, "invalid_timestamp"), (4, "unknown_field")]
    commit(session)
    said = dict(Event.objects.values_list("event_id", "properties"))
    assert said == {"a": {"endpoint": "/v1/x", "note": "two\nlines"}, "b": {}}


def test_a_csv_column_may_hold_all_properties(session: BackfillSession) -> None:
    file = [
        b"id,type,customer,timestamp,properties\n",
        b'a,api.request,acme,2026-03-15T12:00:00Z,"{""n"": 0.10}"\n',
        b"b,api.request,acme,2026-03-15T12:00:00Z,{\n",
    ]
    report = load(session, file, "events.csv")
    assert [refusal.reason.code for _, refusal in report.refused] == ["invalid_properties"]
    assert '"n":0.10' in StagedEvents.objects.get().payload


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ([b"id,type\n", b"a,b\n"], "missing: customer, timestamp"),
        ([], "missing: customer, id, timestamp, type"),
        ([b"id,type,customer,timestamp\n", b'a,"b\n'], "after line 1 is no row of a CSV file"),
        ([b"id,type,customer,timestamp\n", b"\xff,b,c,d\n"], "Line 2 is not written in UTF-8"),
    ],
)
def test_a_file_that_is_no_csv_is_refused(
    session: BackfillSession, file: list[bytes], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        load(session, file, "events.csv")


def test_a_discarded_session_leaves_nothing(
    acme: Customer, calls: Meter, session: BackfillSession
) -> None:
    load(session, lines(old("a")))
    backfill.discard_session(session=session, principal=STAFF, at=NOW)
    assert not StagedEvents.objects.exists()
    assert used(calls, acme) == 0
    for call in (
        lambda: load(session, lines(old("b"))),
        lambda: commit(session),
        lambda: backfill.discard_session(session=session, principal=STAFF, at=NOW),
    ):
        with pytest.raises(DomainError, match="recount is discarded; open another one"):
            call()


def test_an_empty_session_is_not_committed(session: BackfillSession) -> None:
    with pytest.raises(DomainError, match="holds no events"):
        commit(session)


def test_a_full_session_takes_no_more(
    session: BackfillSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "MOST_STAGED", 2)
    with pytest.raises(DomainError, match="at most 2 events, and recount has 0"):
        load(session, lines(old("a"), old("b"), old("c")))


def test_a_commit_that_broke_off_is_taken_up_where_it_stopped(
    acme: Customer, calls: Meter, session: BackfillSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        load(session, lines(old(f"a{number}"), old(f"b{number}")))
    ingest, done = backfill.ingest_part, []

    def break_off(*arguments: Any) -> Any:
        result = ingest(*arguments)
        done.append(result)
        if len(done) == 3:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(backfill, "ingest_part", break_off)
    with pytest.raises(KeyboardInterrupt):
        commit(session)
    assert session.staged_parts.count() == 2
    assert used(calls, acme) == 4
    resume_backfills()
    commit_backfill(session.pk)
    session.refresh_from_db()
    assert (session.status, session.accepted, session.duplicate) == ("committed", 8, 0)
    assert used(calls, acme) == 8


def test_two_who_commit_count_once(transactional_db: None) -> None:
    calls = make_meter("calls")
    customer = make_customer("acme")
    session = backfill.open_session(name="recount", principal=STAFF, at=NOW)
    for number in range(5):
        load(session, lines(old(f"a{number}")))
    backfill.begin_commit(session=session, principal=STAFF)
    barrier = Barrier(2, timeout=20)

    def run() -> None:
        barrier.wait()
        backfill.commit_session(session=BackfillSession.objects.get(), at=NOW)

    at_once(run, run)
    done = BackfillSession.objects.get()
    assert (done.status, done.accepted, done.duplicate) == ("committed", 5, 0)
    assert used(calls, customer) == 5


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_preview_shows_what_a_commit_does_and_leaves_nothing(
    acme: Customer, calls: Meter, session: BackfillSession, is_folded: bool
) -> None:
    store(acme, "known")
    if is_folded:
        fold_pending(at=NOW)
    load(session, lines(old("a"), old("b", timestamp=YEARS_AGO), old("known", properties={})))
    rehearsal = rehearse_session(session=session, at=NOW, look=usage_of_stretches)
    key = ("acme", "calls")
    assert [rehearsal.before[key], rehearsal.after[key]] == [1, 3]
    assert (rehearsal.outcome["accepted"], rehearsal.outcome["duplicate"]) == (2, 1)
    assert Event.objects.count() == 1
    assert used(calls, acme) == 1
    commit(session)
    assert usage_of_stretches(rehearsal.touched) == rehearsal.after
    assert list(verify_usage()) == []


def test_a_preview_of_a_correction_changes_nothing(acme: Customer, calls: Meter) -> None:
    store(acme, "wrong")
    asked: dict[str, Any] = {
        "customer": acme, "event_id": "wrong", "reason": "x", "principal": STAFF, "at": NOW,
    }  # fmt: skip
    rehearsal = rehearse_correction(look=usage_of_stretches, action="void", **asked)
    assert [*rehearsal.before.values(), *rehearsal.after.values()] == [1, 0]
    assert used(calls, acme) == 1
    with pytest.raises(DomainError):
        rehearse_correction(look=usage_of_stretches, action="amend", **asked)


def test_a_preview_sees_one_moment(transactional_db: None) -> None:
    calls = make_meter("calls")
    customer = make_customer("acme")
    store(customer, "wrong")
    looks: list[int] = []

    def look(stretches: Any) -> int:
        if not looks:
            at_once(lambda: store(customer, "meanwhile"))
        looks.append(int(used(calls, customer)))
        return looks[-1]

    rehearsal = rehearse_correction(
        look=look, action="void", customer=customer, event_id="wrong", reason="x", principal=STAFF,
        at=NOW,
    )  # fmt: skip
    assert rehearsal.before - rehearsal.after == 1


def test_programs_load_a_session_over_the_api(
    operator: APIClient, acme: Customer, calls: Meter
) -> None:
    body = {"events": [old("a", timestamp=YEARS_AGO), old("b", customer="nobody")]}
    for _ in range(2):
        response = operator.post(URL, body, format="json")
        assert response.status_code == 200, response.content
        assert counts(response.json()) == (1, 0, 0, 1)
    session = BackfillSession.objects.get()
    assert (session.name, session.staged, session.api_key is not None) == ("recount", 2, True)
    assert not Event.objects.exists()
    assert commit(session).accepted == 1
    response = operator.post(URL, body, format="json")
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "session_closed"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/api/v1/events?session=recount", "add backfill=true"),
        ("/api/v1/events?backfill=true&session=a%20b", "A key is 1 to 100 letters"),
        ("/api/v1/events?backfill=true&session=a%00", "A key is 1 to 100 letters"),
        ("/api/v1/events?backfill=true&session=", "cannot be blank"),
    ],
)
def test_a_session_that_cannot_be_is_422(
    operator: APIClient, acme: Customer, address: str, sentence: str
) -> None:
    response = operator.post(address, [old("a")], format="json")
    assert response.status_code == 422, response.content
    assert sentence in response.json()["error"]["message"]


def test_a_customer_opens_no_session(api: Callable[[str], APIClient], acme: Customer) -> None:
    assert api(make_key(acme).secret).post(URL, [old("a")], format="json").status_code == 403
