"""Invoices as staff and customers find them."""

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.models import BillingRun, Invoice
from billing.selectors.invoices import (
    CurrencyTotal,
    issued_invoices,
    issued_totals,
    open_totals,
    overdue_totals,
    visible_invoices,
)
from billing.selectors.runs import last_run
from billing.services.nightly import run_nightly
from customers.models import Customer
from customers.principals import Principal
from tests import factories
from tests.billing.plans import FEE, publish_plan, subscribe
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db
JANUARY, MARCH = instant("2026-01-01"), instant("2026-03-01")


def figures(totals: list[CurrencyTotal]) -> list[tuple[str, int, str]]:
    return [(each.currency, each.invoices, str(each.amount)) for each in totals]


@pytest.fixture
def billed(acme: Customer) -> None:
    """Issue January and leave February in draft: 31.00 USD each for two, 1200 JPY for one."""
    dollars = publish_plan(FEE)
    yen = publish_plan(FEE | {"amount": "1200"}, key="yen", currency="JPY")
    subscribe(acme, JANUARY, dollars)
    subscribe(factories.make_customer("globex"), JANUARY, dollars)
    subscribe(factories.make_customer("hanako", currency="JPY"), JANUARY, yen)
    run_nightly(at=MARCH)


@pytest.mark.usefixtures("billed")
def test_what_is_owed_is_summed_by_currency(acme: Customer) -> None:
    Invoice.objects.filter(customer__key="acme", status="open").update(amount_paid="1")
    assert figures(open_totals()) == [("JPY", 1, "1200"), ("USD", 2, "61.00")]
    assert figures(open_totals(acme)) == [("USD", 1, "30.00")]


@pytest.mark.usefixtures("billed")
def test_only_what_is_past_its_due_date_is_overdue() -> None:
    assert overdue_totals(instant("2026-03-15")) == []
    assert figures(overdue_totals(instant("2026-03-15T00:00:01"))) == [
        ("JPY", 1, "1200"),
        ("USD", 2, "62.00"),
    ]


@pytest.mark.usefixtures("billed")
def test_revenue_leaves_out_drafts_voids_and_other_months() -> None:
    april = instant("2026-04-01")
    Invoice.objects.filter(customer__key="globex", status="open").update(status="void")
    assert figures(issued_totals(start=MARCH, end=april)) == [
        ("JPY", 1, "1200"),
        ("USD", 1, "31.00"),
    ]
    assert issued_totals(start=JANUARY, end=MARCH) == []


@pytest.mark.usefixtures("billed")
def test_a_customers_documents_come_complete_and_without_drafts(
    acme: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run_nightly(at=instant("2026-04-02"))
    with django_assert_num_queries(3):
        found = [(each.number, len(each.lines.all())) for each in issued_invoices(acme)]
    assert [lines for _, lines in found] == [1, 1, 1]


@pytest.mark.usefixtures("billed")
def test_staff_see_drafts_and_members_do_not(acme: Customer) -> None:
    staff = factories.make_staff().principal()
    member = factories.make_member(acme).principal()
    assert visible_invoices(staff).count() == 6
    assert {each.status for each in visible_invoices(member)} == {"open"}
    assert not visible_invoices(Principal(customer_ids=frozenset())).exists()


def test_the_last_run_is_the_one_that_started_last() -> None:
    assert last_run() is None
    BillingRun.objects.create(at=MARCH)
    newest = BillingRun.objects.create(at=JANUARY)
    assert last_run() == newest
