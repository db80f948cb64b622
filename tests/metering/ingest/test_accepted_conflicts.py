"""Staff accept a conflicting report: the event that stands is amended with what it says."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from config.errors import DomainError
from customers.models import Customer
from metering.models import Correction, RefusedEvent
from metering.selectors.events import event_by_id
from metering.services.refused import accept_conflict
from tests.factories import NOW, make_staff
from tests.metering.ingest.reports import OPERATOR, event, report

pytestmark = pytest.mark.django_db


def conflict_of(**fields: Any) -> RefusedEvent:
    """Report an event, then under its id something else; return what was kept of that."""
    report([event("a", properties={"n": 1})])
    report([event("a", **fields)])
    return RefusedEvent.objects.get()


def test_an_accepted_conflict_is_what_the_event_says_from_then_on(acme: Customer) -> None:
    refused = conflict_of(properties={"n": 0.1}, timestamp="2026-03-14T10:00:00Z")
    accept_conflict(refused=refused, reason="The first was wrong.", principal=OPERATOR, at=NOW)
    now = event_by_id(customer=acme, event_id="a")
    assert now is not None
    assert now.properties == {"n": Decimal("0.1")}
    assert now.timestamp.isoformat() == "2026-03-14T10:00:00+00:00"
    assert Correction.objects.get().reason == "The first was wrong."


def test_another_type_or_no_conflict_cannot_be_accepted(acme: Customer) -> None:
    with pytest.raises(DomainError, match="of the type"):
        accept_conflict(refused=conflict_of(type="other"), reason="x", principal=OPERATOR, at=NOW)
    report([event("b", properties=5)])
    rejected = RefusedEvent.objects.get(kind="rejected")
    with pytest.raises(DomainError, match="Only a conflict"):
        accept_conflict(refused=rejected, reason="x", principal=OPERATOR, at=NOW)
    assert not Correction.objects.exists()


def test_staff_accept_a_conflict_in_the_admin(acme: Customer, client: Client) -> None:
    refused = conflict_of(properties={"n": 2})
    client.force_login(make_staff())
    page = client.get(reverse("admin:metering_refusedevent_change", args=[refused.pk]))
    assert "Accept" in page.text
    url = reverse("admin:metering_refusedevent_accept", args=[refused.pk])
    answer = client.post(url, {"reason": "Agreed with the customer."}, follow=True)
    assert "says now what this report says" in answer.text
    found = event_by_id(customer=acme, event_id="a")
    assert found is not None
    assert json.dumps(found.properties) == '{"n": 2}'
