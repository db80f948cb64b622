"""Versions published from several connections at once, on real transactions."""

from collections.abc import Callable

import pytest

from billing.models import Plan, PlanVersion
from billing.services import catalog
from config.errors import DomainError
from tests.billing.plans import FEE, publish_plan
from tests.billing.services.test_invoicing_races import at_once
from tests.factories import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def publisher(plan: Plan, hours: int) -> Callable[[], PlanVersion]:
    return lambda: catalog.publish_new_version(plan=plan, at=NOW, grace_hours=hours)


def test_publishers_at_once_get_numbers_one_after_the_other() -> None:
    plan = publish_plan(FEE).plan
    made = at_once(*(publisher(plan, hours) for hours in range(4)))
    assert all(isinstance(each, PlanVersion) for each in made)
    assert sorted(plan.versions.values_list("number", flat=True)) == [1, 2, 3, 4, 5]


def test_a_draft_is_published_once_and_dropped_never_after() -> None:
    draft = catalog.draft_version(plan=publish_plan(FEE).plan, grace_hours=1)
    outcomes = at_once(
        lambda: catalog.publish_draft(version=draft, at=NOW),
        lambda: catalog.publish_draft(version=draft, at=NOW),
        lambda: catalog.drop_draft(version=draft),
    )
    refused = [each for each in outcomes if isinstance(each, DomainError)]
    assert len(refused) == 2
    left = PlanVersion.objects.filter(pk=draft.pk).first()
    assert left is None or not left.is_draft
