"""Staff correct events and load backfills, seeing first what that does to usage and money."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from billing.models import SubscriptionPeriod
from billing.services.nightly import run_nightly
from customers.models import Customer, User
from metering.models import BackfillSession, Correction, Meter
from metering.services.backfill import commit_session, open_session
from tests.admin.test_access import ATTACK
from tests.factories import NOW, make_meter, make_plan, make_subscription
from tests.metering.history.corrected import STAFF, store, used, void
from tests.metering.ingest.reports import event

HOUR = timedelta(hours=1)
APRIL = datetime(2026, 4, 5, tzinfo=UTC)
CORRECT = reverse("admin:correct_event")
LOAD, PREVIEW = reverse("admin:backfill_load"), reverse("admin:backfill_preview")


@pytest.fixture
def sent(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> Meter:
    """Return a meter of bytes, a cent each for acme, which sent 500 of them in event `wrong`."""
    meter = make_meter("bytes", aggregation="sum", value_property="bytes")
    price = {"key": "b", "name": "B", "model": "per_unit", "unit_amount": "0.01", "meter": "bytes"}
    make_subscription(acme, make_plan(price), NOW.replace(day=1, hour=0))
    store(acme, "wrong", NOW - HOUR, bytes=500)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    return meter


def page_for(customer: Customer, event_id: str = "wrong") -> str:
    return f"{CORRECT}?{urlencode([('customer', customer.pk), ('event', event_id)])}"


AMEND = {
    "action": "amend",
    "properties": '{"bytes": 1200.5}',
    "timestamp": (NOW - HOUR).isoformat(),
    "reason": "Measured wrong.",
}
VOID = AMEND | {"action": "void"}


def figures(response: Any, name: str) -> list[tuple[str, str, str, str]]:
    rows = response.context["rehearsal"][name]
    return [(row.name, row.before, row.after, row.difference) for row in rows]


@pytest.mark.parametrize(
    ("document", "usage", "money"),
    [
        (AMEND, ("bytes", "500", "1,200.5", "+700.5"), ("USD", "$5.00", "$12.01", "+$7.01")),
        (VOID, ("bytes", "500", "0", "-500"), ("USD", "$5.00", "$0.00", "-$5.00")),
    ],
)
def test_a_correction_is_previewed_and_changes_nothing(
    desk: Client, acme: Customer, sent: Meter, document: Any, usage: Any, money: Any
) -> None:
    response = desk.post(page_for(acme), document | {"preview": "1"})
    assert figures(response, "usage") == [usage]
    assert figures(response, "amounts") == [money]
    assert used(sent, acme) == 500
    assert not Correction.objects.exists()


def test_what_an_issued_invoice_left_out_is_previewed_too(
    desk: Client, acme: Customer, sent: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: APRIL)
    run_nightly(at=APRIL)
    stale = SubscriptionPeriod.objects.filter(is_stale=True)
    known = set(stale)
    address = page_for(acme)
    response = desk.post(address, AMEND | {"preview": "1"})
    assert figures(response, "amounts") == [("USD", "$0.00", "$7.01", "+$7.01")]
    [issued] = response.context["rehearsal"]["issued"]
    assert "later document puts them right" in response.content.decode()
    assert issued[1].total == 5
    assert set(stale) == known


def test_an_event_is_amended_by_who_is_logged_in(
    desk: Client, staff: User, acme: Customer, sent: Meter
) -> None:
    response = desk.post(page_for(acme), AMEND | {"correct": "1"}, follow=True)
    assert "corrected; usage counts it from now on" in response.content.decode()
    assert used(sent, acme) == Decimal("1200.5")
    correction = Correction.objects.get()
    assert (correction.user, correction.reason) == (staff, "Measured wrong.")
    page = desk.get(page_for(acme)).content.decode()
    assert f"no, ended by batch {correction.batch_id}" in page


def test_an_event_is_voided_and_brought_back(desk: Client, acme: Customer, sent: Meter) -> None:
    desk.post(page_for(acme), VOID | {"correct": "1"})
    assert used(sent, acme) == 0
    desk.post(page_for(acme), AMEND | {"properties": "", "correct": "1"})
    assert used(sent, acme) == 500


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reason": ""}, "This field is required"),
        ({"properties": "{"}, "Enter a valid JSON"),
        ({"properties": "[1]"}, "Write a JSON object"),
        ({"properties": "1e9999999999999999999"}, "Enter a valid JSON"),
        ({"timestamp": "2026-03-15T12:00:00"}, "Write date, time and offset"),
        ({"timestamp": "2026-02-30T12:00:00Z"}, "There is no such instant"),
        ({"timestamp": "1900-02-03T12:00:00Z"}, "The timestamp lies before"),
        ({"properties": '{"bytes": 500}'}, "nothing was amended"),
    ],
)
@pytest.mark.parametrize("button", ["preview", "correct"])
def test_a_wrong_correction_is_told_beside_its_field(
    desk: Client, acme: Customer, sent: Meter, changes: Any, sentence: str, button: str
) -> None:
    response = desk.post(page_for(acme), AMEND | changes | {button: "1"})
    assert response.status_code == 200
    assert sentence in unescape(response.content.decode())
    assert not Correction.objects.exists()


@pytest.mark.parametrize("address", [CORRECT, LOAD, PREVIEW])
def test_what_is_not_there_is_not_found(desk: Client, acme: Customer, address: str) -> None:
    for query in ("", "?customer=x&event=y&session=z", f"?customer={acme.pk}&event=y&session=9"):
        assert desk.get(address + query).status_code == 404


@pytest.mark.parametrize("address", [CORRECT, LOAD, PREVIEW])
def test_staff_without_the_permission_are_refused(client: Client, db: None, address: str) -> None:
    user = User.objects.create_user("helper@example.com", "x", is_staff=True)
    client.force_login(user)
    assert client.get(address).status_code == 403


def test_what_an_event_says_is_never_markup(desk: Client, acme: Customer, sent: Meter) -> None:
    store(acme, ATTACK, note=ATTACK)
    void(acme, ATTACK, reason=ATTACK)
    correction = Correction.objects.get()
    for page in (
        page_for(acme, ATTACK),
        reverse("admin:metering_correction_change", args=[correction.pk]),
        reverse("admin:metering_correction_changelist"),
    ):
        text = desk.get(page).content.decode()
        assert "alert(1)" in text
        assert "<script>alert" not in text


def test_a_backfill_goes_from_upload_to_commit(desk: Client, acme: Customer, sent: Meter) -> None:
    add = reverse("admin:metering_backfillsession_add")
    desk.post(add, {"name": "recount", "note": "Lost in March."})
    session = BackfillSession.objects.get()
    query = f"?session={session.pk}"
    rows = [
        event(f"b-{number}", timestamp=(NOW - HOUR).isoformat(), properties={"bytes": 100})
        for number in range(50)
    ]
    file = SimpleUploadedFile("lost.ndjson", "\n".join(map(json.dumps, rows)).encode())
    response = desk.post(LOAD + query, {"file": file}, follow=True)
    assert "50 events of lost.ndjson are staged." in response.content.decode()
    response = desk.get(PREVIEW + query)
    assert figures(response, "usage") == [("bytes", "500", "5,500", "+5,000")]
    assert figures(response, "amounts") == [("USD", "$5.00", "$55.00", "+$50.00")]
    assert used(sent, acme) == 500
    act(desk, session, "commit")
    commit_session(session=session, at=NOW)
    assert used(sent, acme) == 5_500


def act(desk: Client, session: BackfillSession, action: str) -> str:
    """Take an action by its dialog; return what it said."""
    route = f"admin:metering_backfillsession_{action}"
    response = desk.post(reverse(route, args=[session.pk]), {}, follow=True)
    return "".join(str(message) for message in response.context["messages"])


def test_events_of_a_file_that_are_none_are_listed(desk: Client, acme: Customer) -> None:
    session = open_session(name="recount", principal=STAFF, at=NOW)
    file = SimpleUploadedFile("lost.csv", b"id,type,customer,timestamp\na,b,nobody,c\n")
    response = desk.post(f"{LOAD}?session={session.pk}", {"file": file})
    text = unescape(response.content.decode())
    assert "0 events of lost.csv are staged. 1 are not." in text
    assert "timestamp must be a string by RFC 3339" in text


def test_a_session_is_discarded(desk: Client, acme: Customer) -> None:
    session = open_session(name="recount", principal=STAFF, at=NOW)
    assert act(desk, session, "discard") == "recount is discarded."
    file = SimpleUploadedFile("lost.ndjson", json.dumps(event("a")).encode())
    response = desk.post(f"{LOAD}?session={session.pk}", {"file": file})
    assert "recount is discarded; open another one" in response.content.decode()
