"""The nightly comparison with Stripe: statuses are repaired, money never.

Both sides are read in full since the oldest invoice that is not settled. What only a person can
decide is named once for each invoice: missing there, made twice, made by nobody known, over another
amount.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Min, Q
from django.utils import timezone

from billing.gateways.errors import CredentialsError, GoneError, StripeGatewayError
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import InvoiceState, LineDraft
from billing.models import Invoice, StripeCustomer, StripePush, StripeReconciliation
from billing.selectors.locks import only_one
from billing.selectors.stripe import invoices_to_push, push_of
from billing.services.payments import follow_stripe
from billing.services.stripe_customers import CLOCK_DOUBT
from billing.services.stripe_events import recover_missed_events
from billing.services.stripe_lines import line_chunks
from billing.services.stripe_queue import NOT_CONFIGURED, halt, halt_of, is_halted
from config.errors import DomainError

RECONCILE_LOCK = 7_241_300_002
# At least this much is compared, however little is open.
LEAST_SPAN = timedelta(days=35)
# What is younger may still be on its way.
PATIENCE = timedelta(hours=24)
GONE_STATES = frozenset({Invoice.Status.VOID})
UNSETTLED = (Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE)


@dataclass(slots=True)
class Comparison:
    """Both sides while they are compared: what Stripe has, by whose it says it is."""

    gateway: StripeGateway
    at: datetime
    report: StripeReconciliation
    by_id: dict[str, InvoiceState] = field(default_factory=dict)
    by_invoice: dict[str, list[InvoiceState]] = field(default_factory=lambda: defaultdict(list))
    named: set[str] = field(default_factory=set)

    def name(self, kind: str, invoice: str, stripe_id: str, message: str) -> None:
        """Add a difference, once for each invoice."""
        key = invoice or stripe_id
        if key in self.named:
            return
        self.named.add(key)
        self.report.differences.append(
            {"kind": kind, "invoice": invoice, "stripe_id": stripe_id, "message": message}
        )


def reconcile_stripe(
    *, gateway: StripeGateway | None, at: datetime, since: datetime | None = None
) -> StripeReconciliation:
    """Compare our invoices with Stripe's, made there since `since`, and record what differs.

    Left out, `since` reaches back to the oldest one that is not settled, and 35 days at least.
    Raises DomainError `already_running` while another comparison is under way.
    """
    with only_one(RECONCILE_LOCK) as is_mine:
        if not is_mine:
            raise DomainError(
                "Another reconciliation is under way: wait for its end.", code="already_running"
            )
        report = StripeReconciliation.objects.create(at=at, since=since or first_instant(at))
        report.halted = carried_through(report, gateway, at)
        report.finished_at = timezone.now()
        report.save()
    return report


def first_instant(at: datetime) -> datetime:
    unsettled = StripePush.objects.filter(invoice__status__in=UNSETTLED)
    oldest = unsettled.aggregate(first=Min("first_started_at"))["first"] or at
    return min(oldest, at - LEAST_SPAN) - CLOCK_DOUBT


def carried_through(
    report: StripeReconciliation, gateway: StripeGateway | None, at: datetime
) -> str:
    """Compare everything; return what stopped it, if something did."""
    if gateway is None:
        return NOT_CONFIGURED
    if is_halted(gateway, at):
        return halt_of(gateway).reason
    try:
        report.events_recovered = recover_missed_events(gateway=gateway, at=at)
        compare(Comparison(gateway=gateway, at=at, report=report))
    except CredentialsError as error:
        halt(gateway, error, at)
        return error.message
    except StripeGatewayError as error:
        return error.message
    return ""


def compare(comparison: Comparison) -> None:
    customers = set(
        StripeCustomer.objects.filter(account=comparison.gateway.account)
        .exclude(stripe_id="")
        .values_list("stripe_id", flat=True)
    )
    since = comparison.report.since or comparison.at
    for state in comparison.gateway.invoices_created_since(since):
        sort_in(comparison, state, customers)
    for pushes in (known_there(comparison), missed_out(comparison)):
        for push in pushes:
            compare_one(comparison, push)
    for number, states in comparison.by_invoice.items():
        name_strangers(comparison, number, states)
    name_unpushed(comparison)


def sort_in(comparison: Comparison, state: InvoiceState, customers: set[str]) -> None:
    """Put an invoice of Stripe's with those that say the same; name one that a person made."""
    comparison.report.invoices_compared += 1
    comparison.by_id[state.id] = state
    if state.metadata.get("env") == comparison.gateway.account:
        comparison.by_invoice[state.metadata.get("invoice", "")].append(state)
    elif "env" not in state.metadata and state.customer_id in customers and not push_of(state.id):
        comparison.name(
            "foreign",
            "",
            state.id,
            f"{state.id} over {state.total} {state.currency} was made for a customer of ours, but "
            "not from here.",
        )


def known_there(comparison: Comparison) -> Iterator[StripePush]:
    """Yield the pushes of what Stripe has listed, a few hundred at a time."""
    pushes = StripePush.objects.select_related("invoice__customer")
    ids = list(comparison.by_id)
    for first in range(0, len(ids), 500):
        yield from pushes.filter(stripe_invoice_id__in=ids[first : first + 500])


def missed_out(comparison: Comparison) -> Iterator[StripePush]:
    """Yield the pushes whose invoices should have been listed and were not."""
    since = comparison.report.since or comparison.at
    begun = StripePush.objects.filter(
        first_started_at__gte=since + CLOCK_DOUBT, environment=comparison.gateway.account
    ).exclude(stripe_invoice_id="")
    for push in begun.select_related("invoice__customer").iterator(chunk_size=500):
        if push.stripe_invoice_id not in comparison.by_id:
            yield push


def compare_one(comparison: Comparison, push: StripePush) -> None:
    state = comparison.by_id.get(push.stripe_invoice_id)
    try:
        state = state or comparison.gateway.retrieve_invoice(push.stripe_invoice_id)
    except GoneError:
        comparison.name(
            "missing",
            str(push.invoice),
            push.stripe_invoice_id,
            f"Invoice {push.invoice} is not at Stripe: {push.stripe_invoice_id} is gone.",
        )
        return
    if state.status == Invoice.Status.DRAFT:
        name_old_draft(comparison, push, state)
        return
    compare_content(comparison, push, state)
    repair_status(comparison, push, state)


def name_old_draft(comparison: Comparison, push: StripePush, state: InvoiceState) -> None:
    if push.status == StripePush.Status.COMPLETED or comparison.at - state.created_at > PATIENCE:
        comparison.name(
            "draft",
            str(push.invoice),
            state.id,
            f"Invoice {push.invoice} is still a draft at Stripe. {push.attention}".strip(),
        )


def compare_content(comparison: Comparison, push: StripePush, state: InvoiceState) -> None:
    """Name an invoice whose amounts differ. Lines that are final are compared once."""
    invoice = push.invoice
    if (state.total, state.currency) != (invoice.total, invoice.currency):
        comparison.name(
            "amount",
            str(invoice),
            state.id,
            f"Invoice {invoice} is over {invoice.total} {invoice.currency} here and "
            f"{state.total} {state.currency} at Stripe.",
        )
        return
    if push.lines_compared_at is not None:
        return
    ours = sorted((line.reference, line.amount, line.tax) for line in drafted_lines(invoice))
    found = comparison.gateway.lines_of(state.id)
    if ours != sorted((line.reference, line.amount, line.tax) for line in found):
        comparison.name(
            "lines",
            str(invoice),
            state.id,
            f"Invoice {invoice} has other lines at Stripe than here, to the same total.",
        )
        return
    StripePush.objects.filter(pk=push.pk).update(lines_compared_at=comparison.at)


def drafted_lines(invoice: Invoice) -> list[LineDraft]:
    return [line for chunk in line_chunks(invoice) for line in chunk]


def repair_status(comparison: Comparison, push: StripePush, state: InvoiceState) -> None:
    """Follow Stripe where we are behind; name what only a person can settle."""
    invoice = push.invoice
    before = (invoice.status, invoice.amount_paid, push.stripe_status)
    if before != (state.status, state.amount_paid + state.from_balance, state.status):
        follow_stripe(
            invoice=invoice, stripe_invoice_id=state.id, gateway=comparison.gateway,
            at=comparison.at,
        )  # fmt: skip
        invoice.refresh_from_db()
        push.refresh_from_db()
        if before != (invoice.status, invoice.amount_paid, push.stripe_status):
            comparison.report.statuses_repaired += 1
    if push.status == StripePush.Status.COMPLETED and push.attention:
        comparison.name("status", str(invoice), state.id, push.attention)


def name_strangers(comparison: Comparison, number: str, states: list[InvoiceState]) -> None:
    """Name what says that it is an invoice of ours, which knows another one or none."""
    living = [state for state in states if state.status not in GONE_STATES]
    invoice = Invoice.objects.filter(pk=int(number) if number.isdecimal() else 0).first()
    ids = ", ".join(sorted(state.id for state in living))
    if len(living) > 1:
        name = str(invoice or number)
        message = (
            f"Stripe has {len(living)} invoices for {name}: {ids}. Delete or void all but one."
        )
        comparison.name("double", name, ids, message)
        return
    for state in living:
        push = StripePush.objects.filter(invoice=invoice).first() if invoice else None
        if push is not None and push.stripe_invoice_id == state.id:
            continue
        if is_on_its_way(push):
            continue
        comparison.name(
            "orphan",
            str(invoice or ""),
            state.id,
            f"{state.id} over {state.total} {state.currency} at Stripe says it is invoice "
            f"{invoice or number}, which does not know it.",
        )


def is_on_its_way(push: StripePush | None) -> bool:
    """Return whether a push will find and adopt what it may have made."""
    return (
        push is not None
        and not push.stripe_invoice_id
        and push.status in {StripePush.Status.PENDING, StripePush.Status.ATTENTION}
    )


def name_unpushed(comparison: Comparison) -> None:
    """Name the invoices that should be at Stripe for a day and are not."""
    late = invoices_to_push().filter(
        Q(issued_at__lte=comparison.at - PATIENCE) | Q(stripe_push__status="attention")
    )
    for invoice in late.select_related("stripe_push"):
        push = getattr(invoice, "stripe_push", None)
        reason = (push.attention or push.last_error) if push else ""
        comparison.name(
            "missing",
            str(invoice),
            push.stripe_invoice_id if push else "",
            f"Invoice {invoice} is not at Stripe. {reason}".strip(),
        )
