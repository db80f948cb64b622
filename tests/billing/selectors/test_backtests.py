"""What past usage would have cost under another plan version, beside what its own terms come to."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice, InvoiceLine, PlanVersion, Subscription
from billing.selectors.backtests import BackTest, back_test, cells_of
from billing.services.catalog import draft_version, publish_new_version
from billing.services.nightly import run_nightly
from config.errors import InvalidInputError
from customers.models import Customer
from tests import factories
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.factories import NOW

SINCE, UNTIL, AT = date(2026, 1, 1), date(2026, 3, 1), instant("2026-04-01")
RATE = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_amount": "3"}
DEARER = [FEE | {"amount": "40"}, RATE]

pytestmark = pytest.mark.django_db


def trial(version: PlanVersion, **options: Any) -> BackTest:
    window: dict[str, Any] = {"since": SINCE, "until": UNTIL, "at": AT}
    return back_test(version=version, **window | options)


def amounts(test: BackTest) -> dict[str, tuple[str, str, str]]:
    return {
        each.customer.key: (str(each.own_amount), str(each.other_amount), str(each.difference))
        for each in test.outcomes
    }


@pytest.fixture
def old(acme: Customer) -> PlanVersion:
    """Acme has had the plan since the year began, with 12 calls in January and 3 in February."""
    version = publish_plan()
    subscribe(acme, "2026-01-01", version)
    report_calls(acme, "2026-01-10", 12)
    report_calls(acme, "2026-02-10", 3)
    return version


@pytest.fixture
def new(old: PlanVersion) -> PlanVersion:
    return publish_new_version(plan=old.plan, at=NOW, prices=DEARER)


def test_a_minimum_counts_on_either_side(old: PlanVersion) -> None:
    """57 and 37 come to less than 100; by half of February that is 50, above 31 / 2 and 6."""
    least = publish_new_version(plan=old.plan, at=NOW, prices=[FEE, CALLS], minimum_amount="100")
    assert amounts(trial(least)) == {"acme": ("94.00", "200.00", "106.00")}
    cut = trial(least, since=date(2026, 2, 1), until=date(2026, 2, 15))
    assert amounts(cut) == {"acme": ("21.50", "50.00", "28.50")}


def test_both_sides_are_what_invoices_would_say(new: PlanVersion) -> None:
    """Own: 2 x 31 + (10 x 2 + 2 x 3) + 3 x 2 = 94. Other: 2 x 40 + 15 x 3 = 125."""
    test = trial(new)
    assert amounts(test) == {"acme": ("94.00", "125.00", "31.00")}
    assert (test.own_amount, test.other_amount) == (Decimal(94), Decimal(125))
    assert test.difference == Decimal(31)
    assert (test.losers, test.winners) == (1, 0)


def test_the_own_side_is_what_was_invoiced(old: PlanVersion) -> None:
    run_nightly(at=instant("2026-03-05"))
    billed = sum(line.amount for line in InvoiceLine.objects.all())
    assert trial(old).own_amount == trial(old).other_amount == billed == Decimal("94.00")


def test_nothing_is_stored(new: PlanVersion) -> None:
    trial(new)
    assert not Invoice.objects.exists()


def test_winners_and_losers_stand_in_order(new: PlanVersion) -> None:
    heavy = factories.make_customer("heavy")
    subscribe(heavy, "2026-01-01", new)
    report_calls(heavy, "2026-01-10", 40)
    cheaper = publish_plan(FEE | {"amount": "60"}, key="flat")
    test = trial(cheaper)
    assert [each.customer.key for each in test.outcomes] == ["acme", "heavy"]
    assert amounts(test)["heavy"] == ("200.00", "120.00", "-80.00")
    assert (test.losers, test.winners) == (1, 1)


def test_a_draft_can_be_tried(old: PlanVersion) -> None:
    draft = draft_version(plan=old.plan, prices=[FEE])
    assert amounts(trial(draft))["acme"] == ("94.00", "62.00", "-32.00")


def test_another_rhythm_is_billed_in_its_own_periods(old: PlanVersion) -> None:
    """A quarter costs 90; January and February are 59 of its 90 days."""
    quarterly = publish_plan(FEE | {"amount": "90"}, key="slow", interval="quarter")
    assert amounts(trial(quarterly))["acme"][1] == "59.00"


def test_a_window_is_of_the_customers_own_days() -> None:
    tokyo = factories.make_customer("tokyo", time_zone="Asia/Tokyo")
    version = publish_plan(CALLS)
    subscribe(tokyo, "2025-12-01", version)
    report_calls(tokyo, "2025-12-31T16:00", 1)
    report_calls(tokyo, "2026-02-28T16:00", 1)
    assert amounts(trial(version))["tokyo"][0] == "2.00"


def test_what_ran_outside_the_window_counts_nothing(acme: Customer) -> None:
    version = publish_plan(FEE)
    subscribe(acme, "2026-03-01", version)
    assert trial(version).outcomes == ()
    assert amounts(trial(version, until=date(2026, 4, 1)))["acme"][0] == "31.00"


def test_usage_is_priced_up_to_now_alone(old: PlanVersion) -> None:
    Subscription.objects.update(end_at=instant("2026-06-01"))
    test = trial(old, at=instant("2026-02-01"))
    assert amounts(test)["acme"][0] == "57.00"


def test_customers_in_another_currency_are_left_out_by_name(old: PlanVersion) -> None:
    euros = publish_new_version(plan=old.plan, at=NOW, currency="EUR", prices=[FEE])
    test = trial(euros)
    assert (test.outcomes, [each.customer.key for each in test.left_out]) == ((), ["acme"])


def test_an_addon_is_not_tried_on_base_plans(old: PlanVersion) -> None:
    addon = publish_plan(FEE, key="support", is_addon=True)
    assert trial(addon).outcomes == ()


def test_only_customers_of_a_named_plan_are_tried(new: PlanVersion) -> None:
    other = publish_plan(FEE, key="other")
    assert trial(new, plan=other.plan).outcomes == ()
    assert trial(new, plan=new.plan).outcomes


def test_a_customers_own_version_is_tried_on_it_alone(old: PlanVersion, acme: Customer) -> None:
    globex = factories.make_customer("globex")
    subscribe(globex, "2026-01-01", old)
    own = publish_new_version(plan=old.plan, at=NOW, customer=acme, prices=[FEE])
    assert list(amounts(trial(own))) == ["acme"]


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({"until": SINCE}, "until"),
        ({"since": date(2020, 1, 1)}, "since"),
        ({"since": date(2026, 4, 2), "until": date(2026, 5, 1)}, "since"),
    ],
)
def test_a_window_that_is_none_is_refused(
    old: PlanVersion, window: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        trial(old, **window)
    assert refused.value.field == field


def test_more_customers_take_no_more_queries(new: PlanVersion) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            trial(new)
        return len(captured)

    alone = queries()
    for number in range(5):
        subscribe(factories.make_customer(f"c{number}"), "2026-01-01", new)
    assert queries() == alone


def test_a_file_has_a_row_for_each_customer(new: PlanVersion) -> None:
    rows = [("acme", "Acme", "Pro v1", "USD", "94.00", "125.00", "31.00")]
    assert list(cells_of(trial(new))) == rows
