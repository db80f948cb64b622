"""Both sides are compared: statuses are put right, everything else is named once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from billing import tasks
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripeEvent, StripePush, StripeReconciliation
from billing.sandbox import actions, reversals
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_push import push_invoice
from billing.services.stripe_reconcile import RECONCILE_LOCK, reconcile_stripe
from config.errors import DomainError
from tests.billing.stripe import cases

Meddle = Callable[[StripeSandbox, dict[str, Any]], None]


@pytest.fixture
def pushed(gateway: StripeGateway, invoice: Invoice, at: datetime) -> Invoice:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    return invoice


def record_of(sandbox: StripeSandbox) -> dict[str, Any]:
    (found,) = cases.records(sandbox, "invoice")
    return found


def kinds(report: StripeReconciliation) -> list[str]:
    return [each["kind"] for each in report.differences]


def test_two_sides_that_agree_are_clean_however_often_they_are_compared(
    gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    for _ in range(2):
        report = reconcile_stripe(gateway=gateway, at=at)
        assert (report.differences, report.invoices_compared, report.statuses_repaired) == (
            [], 1, 0,
        )  # fmt: skip
        assert report.is_clean


@pytest.mark.parametrize(
    ("verb", "status"), [("pay", "paid"), ("void", "void"), ("mark_uncollectible", "uncollectible")]
)
def test_a_status_that_no_webhook_told_of_is_repaired(
    gateway: StripeGateway, pushed: Invoice, at: datetime, verb: str, status: str
) -> None:
    invoice_id = StripePush.objects.get().stripe_invoice_id
    params: Any = {"payment_method": "pm_card_visa"} if verb == "pay" else {}
    name = {"void": "void_invoice"}.get(verb, verb)
    getattr(gateway.api.invoices, name)(invoice_id, params, {"idempotency_key": f"t:{verb}"})
    report = reconcile_stripe(gateway=gateway, at=at)
    pushed.refresh_from_db()
    assert (pushed.status, report.statuses_repaired, report.differences) == (status, 1, [])


def other_total(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    record["total"] += 1


def other_lines(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    first, second, *_ = cases.records(sandbox, "line_item")
    first["amount"] += 1
    second["amount"] -= 1


def gone(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    sandbox.account.store.remove("invoice", record["id"])


def copied(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    sandbox.account.store.put("invoice", "in_copy", record | {"id": "in_copy"})


def another_by_hand(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    sandbox.account.store.put("invoice", "in_hand", record | {"id": "in_hand", "metadata": {}})


def stranger_of_ours(sandbox: StripeSandbox, record: dict[str, Any]) -> None:
    claim = {"env": "tests:test", "invoice": "987654321"}
    sandbox.account.store.put("invoice", "in_x", record | {"id": "in_x", "metadata": claim})


@pytest.mark.parametrize(
    ("meddle", "kind", "words"),
    [
        (other_total, "amount", "is over 303.00 USD here and 303.01 USD at Stripe"),
        (other_lines, "lines", "has other lines at Stripe than here"),
        (gone, "missing", "is gone"),
        (copied, "double", "Stripe has 2 invoices for INV-"),
        (another_by_hand, "foreign", "in_hand over 303.00 USD was made for a customer of ours"),
        (stranger_of_ours, "orphan", "says it is invoice 987654321, which does not know it"),
    ],
)
def test_what_only_a_person_can_settle_is_named_once_and_left_alone(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime,
    meddle: Meddle, kind: str, words: str,
) -> None:  # fmt: skip
    meddle(sandbox, record_of(sandbox))
    before = str(sandbox.account.store.tables["invoice"])
    report = reconcile_stripe(gateway=gateway, at=at)
    assert kinds(report) == [kind]
    assert words in report.differences[0]["message"]
    assert str(sandbox.account.store.tables["invoice"]) == before
    pushed.refresh_from_db()
    assert (pushed.status, pushed.amount_paid) == ("open", 0)


def test_an_invoice_of_another_installation_is_none_of_ours(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    claim = {"env": "elsewhere:test", "invoice": "1"}
    other = record_of(sandbox) | {"id": "in_x", "metadata": claim}
    sandbox.account.store.put("invoice", "in_x", other)
    assert reconcile_stripe(gateway=gateway, at=at).differences == []


def test_paid_here_and_open_there_is_named(
    gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    Invoice.objects.update(status="paid", amount_paid=pushed.total, paid_at=at)
    report = reconcile_stripe(gateway=gateway, at=at)
    assert [each["message"] for each in report.differences] == [
        f"Invoice {pushed} is paid here and open at Stripe."
    ]


def test_a_dispute_that_no_webhook_told_of_is_recovered_and_named(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    sandbox.add_endpoint("http://127.0.0.1:9/", "whsec_x", ["*"])
    sandbox.deliverer.is_held = True
    stripe_id = StripePush.objects.get().stripe_invoice_id
    actions.pay(sandbox.account, stripe_id)
    reversals.dispute(sandbox.account, stripe_id)
    report = reconcile_stripe(gateway=gateway, at=at)
    assert report.events_recovered == StripeEvent.objects.count() == 3
    assert "A dispute over 303.00 USD is open" in report.differences[0]["message"]
    assert reconcile_stripe(gateway=gateway, at=at).events_recovered == 0


def test_what_is_on_its_way_is_no_difference_for_a_day(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    assert reconcile_stripe(gateway=gateway, at=at).differences == []
    report = reconcile_stripe(gateway=gateway, at=at + timedelta(hours=25))
    assert kinds(report) == ["missing"]
    assert f"Invoice {invoice} is not at Stripe." in report.differences[0]["message"]


def test_a_draft_that_stays_one_is_named_after_a_day(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_BEFORE, "POST /v1/invoices/{id}/finalize"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    assert reconcile_stripe(gateway=gateway, at=at).differences == []
    assert kinds(reconcile_stripe(gateway=gateway, at=at + timedelta(hours=25))) == ["draft"]


def test_several_pages_of_invoices_are_all_compared(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    record = record_of(sandbox)
    for number in range(250):
        claim = {"env": "tests:test", "invoice": str(9_000_000 + number)}
        name = f"in_{number}"
        sandbox.account.store.put("invoice", name, record | {"id": name, "metadata": claim})
    report = reconcile_stripe(gateway=gateway, at=at)
    assert (report.invoices_compared, len(report.differences)) == (251, 250)


def test_the_command_says_what_differs_and_ends_with_1(
    sandbox: StripeSandbox, pushed: Invoice, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = cases.KEY, sandbox.url
    settings.STRIPE_ENVIRONMENT = "tests"
    call_command("stripe_reconcile")
    assert "1 invoices of Stripe's compared" in capsys.readouterr().out
    other_total(sandbox, record_of(sandbox))
    with pytest.raises(CommandError, match="1 differences") as ended:
        call_command("stripe_reconcile")
    assert ended.value.returncode == 1
    assert "amount: Invoice INV-" in capsys.readouterr().out
    tasks.reconcile_stripe()
    assert StripeReconciliation.objects.count() == 3


def test_a_comparison_that_cannot_be_made_says_why(
    sandbox: StripeSandbox,
    gateway: StripeGateway,
    pushed: Invoice,
    at: datetime,
    settings: Settings,
) -> None:
    assert "STRIPE_SECRET_KEY is not set" in reconcile_stripe(gateway=None, at=at).halted
    sandbox.api.faults.add(Fault(Kind.SERVER_ERROR_BEFORE, "GET /v1/invoices"))
    assert "An error occurred" in reconcile_stripe(gateway=gateway, at=at).halted
    sandbox.api.faults.add(Fault(Kind.FORBIDDEN))
    for _ in range(2):
        assert "required permissions" in reconcile_stripe(gateway=gateway, at=at).halted
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(CommandError, match="STRIPE_SECRET_KEY is not set"):
        call_command("stripe_reconcile")


@pytest.mark.django_db(transaction=True)
def test_one_comparison_at_a_time(gateway: StripeGateway, at: datetime) -> None:
    with cases.held_elsewhere(RECONCILE_LOCK), pytest.raises(DomainError, match="under way"):
        reconcile_stripe(gateway=gateway, at=at)


def test_s23_four_days_without_webhooks_are_made_good_by_a_comparison(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime, db: None
) -> None:
    sandbox.add_endpoint("http://127.0.0.1:9/", "whsec_x", ["*"])
    sandbox.deliverer.is_held = True
    invoices = [cases.make_invoice(at=at) for _ in range(3)]
    for invoice, act in zip(invoices, (actions.pay, actions.void, actions.decline), strict=True):
        push_invoice(invoice=invoice, gateway=gateway, at=at)
        act(sandbox.account, StripePush.objects.get(invoice=invoice).stripe_invoice_id)
    report = reconcile_stripe(gateway=gateway, at=at + timedelta(days=4))
    found = [Invoice.objects.get(pk=invoice.pk).status for invoice in invoices]
    assert (found, report.differences) == (["paid", "void", "open"], [])
    assert "A payment failed" in StripePush.objects.get(invoice=invoices[2]).collection_problem
