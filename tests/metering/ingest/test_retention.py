"""Refused events are kept for ninety days."""

from datetime import timedelta

import pytest

from customers.models import Customer
from metering.models import RefusedEvent
from metering.services.refused import forget_refused
from tests.factories import NOW
from tests.metering.ingest.reports import report

pytestmark = pytest.mark.django_db


def test_a_refused_event_is_forgotten_after_ninety_days_and_not_before(acme: Customer) -> None:
    report([{"id": "old"}], at=NOW)
    report([{"id": "new"}], at=NOW + timedelta(days=1))
    assert forget_refused(at=NOW + timedelta(days=90)) == 0
    assert forget_refused(at=NOW + timedelta(days=90, hours=1)) == 1
    assert RefusedEvent.objects.get().event_id == "new"
