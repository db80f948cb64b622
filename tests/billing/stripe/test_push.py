"""A push that nothing disturbs, and invoices that are unlike most."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings

from billing.gateways.minor_units import from_minor
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox.server import StripeSandbox
from billing.services.coupons import create_coupon
from billing.services.invoicing import bill_customers
from billing.services.stripe_push import push_due_invoices, push_invoice, retry_pushes
from billing.services.stripe_queue import PushOutcome
from billing.services.subscriptions import create_subscription
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import publish_plan
from tests.billing.stripe import cases
from tests.billing.usage import instant, report_calls


def test_a_push_makes_one_open_invoice_with_our_number_lines_and_total(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)
    assert cases.events(sandbox)["invoice.sent"] == 1


def test_the_due_date_at_stripe_is_as_many_days_away_as_ours(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    (found,) = cases.records(sandbox, "invoice")
    terms = found["due_date"] - found["status_transitions"]["finalized_at"]
    assert timedelta(seconds=terms) == timedelta(days=14)


def test_a_line_period_at_stripe_includes_its_last_second(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    period = cases.records(sandbox, "line_item")[0]["period"]
    assert period == {
        "start": int(cases.START.timestamp()),
        "end": int(cases.END.timestamp()) - 1,
    }


def test_a_completed_push_asks_stripe_nothing_more(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    requests = sandbox.api.faults.requests
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    assert sandbox.api.faults.requests == requests


def test_the_links_and_the_state_at_stripe_are_kept(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push = StripePush.objects.get(invoice=invoice)
    assert push.stripe_status == "open"
    assert push.hosted_invoice_url == f"{sandbox.url}/i/{push.stripe_invoice_id}"
    assert push.invoice_pdf.endswith("/pdf")


def test_two_invoices_of_a_customer_share_one_customer_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    second = cases.make_invoice(customer=invoice.customer, at=at)
    report = push_due_invoices(gateway=gateway, at=at)
    assert report.pushed == 2
    assert len(cases.records(sandbox, "customer")) == 1
    assert StripePush.objects.get(invoice=second).status == "completed"


def test_a_changed_address_reaches_stripe_with_the_next_push(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    customer = invoice.customer
    customer.email, customer.city = "new@example.com", "Lyon"
    customer.save()
    push_invoice(invoice=cases.make_invoice(customer=customer, at=at), gateway=gateway, at=at)
    (found,) = cases.records(sandbox, "customer")
    assert (found["email"], found["address"]["city"]) == ("new@example.com", "Lyon")


@pytest.mark.parametrize("count", [250, 251, 1000])
def test_s10_more_lines_than_stripe_takes_are_rolled_up_to_the_same_total(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, count: int
) -> None:
    invoice = cases.make_invoice([f"{number}.01" for number in range(count)], at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    lines = cases.records(sandbox, "line_item")
    assert len(lines) == 250
    assert Decimal(sum(line["amount"] for line in lines)).scaleb(-2) == invoice.total
    rest = [line["description"] for line in lines if line["metadata"]["line"] == "rest"]
    wanted = f"and {count - 249:,} more lines, listed in invoice {invoice.number}"
    assert rest == ([wanted] if count > 250 else [])


def test_s26_an_invoice_over_nothing_is_paid_as_it_is_finalized_and_not_mailed(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["10.00", "-10.00"], at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice, status="paid")
    invoice.refresh_from_db()
    assert (invoice.status, invoice.payments.count()) == ("paid", 0)
    assert cases.events(sandbox)["invoice.sent"] == 0


def test_an_invoice_paid_at_issue_because_it_is_over_nothing_is_pushed_too(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["0.00"], at=at, status="paid", paid_at=at)
    assert push_due_invoices(gateway=gateway, at=at).pushed == 1
    cases.assert_one(sandbox, invoice, status="paid")


def test_s27_a_negative_total_is_never_pushed(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["-5.00"], at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.SKIPPED
    assert sandbox.api.faults.requests == 0
    assert "negative" in StripePush.objects.get(invoice=invoice).last_error


def test_a_draft_of_ours_is_refused(gateway: StripeGateway, db: None, at: datetime) -> None:
    draft = cases.make_invoice(at=at, status="draft", number=None)
    with pytest.raises(DomainError, match="finalize it first"):
        push_invoice(invoice=draft, gateway=gateway, at=at)


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("JPY", "1234", 1234),
        ("KWD", "1.230", 1230),
        ("ISK", "500", 50000),
        ("HUF", "199.99", 19999),
    ],
)
def test_s30_each_currency_is_sent_in_the_units_stripe_counts_in(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime,
    currency: str, amount: str, minor: int,
) -> None:  # fmt: skip
    invoice = cases.make_invoice([amount], at=at, currency=currency)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    (found,) = cases.records(sandbox, "invoice")
    assert (found["total"], found["currency"]) == (minor, currency.lower())


@pytest.mark.parametrize(("currency", "amount"), [("KWD", "1.234"), ("XAU", "1.00")])
def test_s30_what_stripe_has_no_number_for_needs_attention_before_anything_is_sent(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime,
    currency: str, amount: str,
) -> None:  # fmt: skip
    invoice = cases.make_invoice([amount], at=at, currency=currency)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    assert sandbox.api.faults.requests == 0
    assert currency in StripePush.objects.get(invoice=invoice).attention


def test_s36_awkward_names_are_trimmed_here_and_never_refused_there(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    customer = factories.make_customer(name='Ünï "[x]" & <b>\tCo 🦊')
    customer.locale = "x-klingon"
    customer.save()
    invoice = cases.make_invoice(customer=customer, at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    assert cases.records(sandbox, "customer")[0]["name"] == 'Ünï "[x]" & <b> Co 🦊'


def test_without_a_secret_key_nothing_is_pushed_and_the_run_says_so(
    invoice: Invoice, at: datetime
) -> None:
    report = push_due_invoices(gateway=None, at=at)
    assert report.halted == "STRIPE_SECRET_KEY is not set, so no invoice was pushed to Stripe."
    assert push_invoice(invoice=invoice, gateway=None, at=at) == PushOutcome.NOT_CONFIGURED
    assert not StripePush.objects.exists()


def test_s35_periods_are_exact_in_utc_across_a_change_of_the_clock(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    paris = ZoneInfo("Europe/Paris")
    march = datetime(2026, 3, 1, tzinfo=paris), datetime(2026, 4, 1, tzinfo=paris)
    invoice = cases.make_invoice(["1.00"], at=at, period=march)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    period = cases.records(sandbox, "line_item")[0]["period"]
    assert period["start"] == int(datetime(2026, 2, 28, 23, tzinfo=UTC).timestamp())
    assert period["end"] == int(datetime(2026, 3, 31, 22, tzinfo=UTC).timestamp()) - 1


def test_s36_awkward_lines_are_trimmed_here_and_never_refused_there(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    text = 'Ä "quoted" [x]=1&y 🦊\x07\n' + "x" * 478
    invoice = cases.make_invoice(["1.00"], at=at, description=text)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    found = cases.records(sandbox, "line_item")[0]["description"]
    assert found.startswith('Ä "quoted" [x]=1&y 🦊  xxx')


def test_our_period_the_tax_id_and_the_way_to_our_pdf_are_on_stripes_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    customer = factories.make_customer(tax_status="exempt")
    invoice = cases.make_invoice(customer=customer, at=at, buyer={"tax_id": "DE136695976"})
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    (found,) = cases.records(sandbox, "invoice")
    fields = {field["name"]: field["value"] for field in found["custom_fields"]}
    assert fields["Period"].split()[:2] == ["Oct", "1"]
    assert fields["Your tax id"] == "DE136695976"
    assert found["footer"].endswith(f"/portal/{customer.key}/invoices/{invoice.number}/pdf/")
    assert cases.records(sandbox, "customer")[0]["tax_exempt"] == "exempt"


TAXED = [
    # Two thirds of a cent each: twice rounded they would be 14.
    (["0.33", "0.33"], "USD", {"tax": "0.13"}, 79),
    (["10.00", "-4.00", "5.01"], "USD", {"tax": "2.20", "discount": "1.01"}, 1220),
    (["10.00"], "USD", {"tax": "1.90", "credits": "3.00"}, 890),
    (["1.230", "2.000", "0.770"], "KWD", {"tax": "0.210"}, 4210),
    (["100", "33"], "ISK", {"tax": "32", "discount": "4"}, 16100),
]


@pytest.mark.parametrize(("amounts", "currency", "totals", "minor"), TAXED)
def test_discounts_tax_and_credits_come_to_our_total_to_the_minor_unit(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime,
    amounts: list[str], currency: str, totals: dict[str, str], minor: int,
) -> None:  # fmt: skip
    invoice = cases.make_invoice(amounts, at=at, currency=currency, totals=totals)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    (found,) = cases.records(sandbox, "invoice")
    assert (found["total"], found["status"]) == (minor, "open")
    tax = sum(item["amount"] for item in found["total_taxes"])
    assert from_minor(tax, currency) == invoice.tax
    assert all(item["amount"] >= 0 for item in found["total_taxes"])


def test_each_line_coupon_and_tax_of_a_billed_month_is_at_stripe_as_it_is_here(
    sandbox: StripeSandbox, gateway: StripeGateway, acme: Customer
) -> None:
    acme.tax_rates.add(factories.make_tax_rate("vat", percent="20"))
    acme.tax_rates.add(factories.make_tax_rate("city", percent="1.375"))
    third = create_coupon(key="third", name="A third", percent_off=Decimal("33.33"))
    cents = create_coupon(key="c", name="Cents", amount_off=Decimal("0.07"), currency="USD")
    plan, start = publish_plan().plan, instant("2026-02-01")
    create_subscription(customer=acme, plan=plan, start_at=start, coupons=[third, cents])
    report_calls(acme, "2026-02-10T09:00", 13)
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-03"))
    invoice = acme.invoices.get()
    push_invoice(invoice=invoice, gateway=gateway, at=instant("2026-03-03"))
    (found,) = cases.records(sandbox, "invoice")
    assert from_minor(found["total"], "USD") == invoice.total
    sent = cases.records(sandbox, "line_item")
    lines = [(line.description, line.amount) for line in invoice.lines.all()]
    lines += [(each["name"], -Decimal(each["amount"])) for each in invoice.discounts]
    assert [(item["description"], from_minor(item["amount"], "USD")) for item in sent] == lines
    taxes = [Decimal(tax["amount"]) for tax in invoice.taxes]
    parts = [[tax["amount"] for tax in item["taxes"]] for item in sent if item["taxes"]]
    assert [from_minor(sum(each), "USD") for each in zip(*parts, strict=True)] == taxes


def test_an_invoice_of_250_lines_with_a_discount_is_rolled_up_to_make_room(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    amounts = [f"{number}.00" for number in range(1, 251)]
    totals = {"discount": "10.00", "tax": "99.99", "credits": "1.23"}
    invoice = cases.make_invoice(amounts, at=at, totals=totals)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    assert len(cases.records(sandbox, "line_item")) == 250
    (found,) = cases.records(sandbox, "invoice")
    assert from_minor(found["total"], "USD") == invoice.total


def test_what_was_billed_before_stripe_is_pushed_by_hand_alone(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    settings: Settings,
) -> None:  # fmt: skip
    settings.STRIPE_PUSH_SINCE = at + timedelta(seconds=1)
    assert push_due_invoices(gateway=gateway, at=at).counts == {}
    assert retry_pushes(gateway=gateway, at=at + timedelta(days=1)).counts == {}
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)
