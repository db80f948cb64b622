"""Invoices as people read them: whose, with what on them, and what they add up to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, Prefetch, QuerySet, Sum

from billing.models import CreditNote, Invoice, InvoiceLine, PaymentReversal
from billing.models.invoices import InvoiceQuerySet
from billing.rating.money import round_amount
from config.errors import NotFoundError
from customers.models import Customer
from customers.principals import Principal


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """How many documents there are in a currency, and the money in them together."""

    currency: str
    invoices: int
    amount: Decimal


def with_details(invoices: InvoiceQuerySet) -> InvoiceQuerySet:
    """Add what a page or a JSON document shows, in a fixed number of queries."""
    lines = InvoiceLine.objects.select_related("subscription", "original__invoice")
    notes = CreditNote.objects.issued().select_related("invoice").order_by("pk")
    return (
        invoices.select_related("customer", "subscription__plan_version__plan", "stripe_push")
        .prefetch_related(Prefetch("lines", lines))
        .prefetch_related(Prefetch("credit_notes", notes))
    )


def visible_invoices(principal: Principal) -> InvoiceQuerySet:
    """Return the invoices that a caller may see: a customer's are those already issued."""
    invoices = Invoice.objects.visible_to(principal)
    return invoices if principal.sees_all_customers else invoices.issued()


def issued_invoices(customer: Customer) -> InvoiceQuerySet:
    """Return a customer's documents, newest first, with their lines."""
    return with_details(Invoice.objects.filter(customer=customer).issued())


def visible_invoice(principal: Principal, name: str) -> Invoice:
    """Return the invoice with a number, or with an id for drafts, which have no number yet.

    A number begins with a letter, an id is digits. Raises NotFoundError for anything that is not
    there or not the caller's.
    """
    invoices = with_details(visible_invoices(principal))
    is_id = name.isascii() and name.isdigit() and len(name) < 19
    invoice = invoices.filter(pk=int(name)) if is_id else invoices.filter(number=name)
    found = invoice.first()
    if found is None:
        raise NotFoundError(f"There is no invoice {name!r}.")
    return found


def reversals_of(invoice: Invoice) -> QuerySet[PaymentReversal]:
    """Return what went back of the payments of an invoice, or is asked back, oldest first."""
    return PaymentReversal.objects.filter(payment__invoice=invoice).order_by("created_at", "pk")


def open_totals(customer: Customer | None = None) -> list[CurrencyTotal]:
    """Return what is still owed on open invoices, by currency; of one customer or of all."""
    invoices = Invoice.objects.filter(status=Invoice.Status.OPEN)
    if customer is not None:
        invoices = invoices.filter(customer=customer)
    return _totals(invoices, F("total") - F("amount_paid") - F("amount_credited"))


def overdue_totals(at: datetime) -> list[CurrencyTotal]:
    """Return what is still owed on open invoices whose due date had passed by `at`."""
    invoices = Invoice.objects.filter(status=Invoice.Status.OPEN, due_at__lt=at)
    return _totals(invoices, F("total") - F("amount_paid") - F("amount_credited"))


def issued_totals(*, start: datetime, end: datetime) -> list[CurrencyTotal]:
    """Return what was invoiced in `[start, end)` and not voided since, by currency."""
    invoices = Invoice.objects.issued().filter(issued_at__gte=start, issued_at__lt=end)
    return _totals(invoices.exclude(status=Invoice.Status.VOID), F("total"))


def _totals(invoices: InvoiceQuerySet, amount: object) -> list[CurrencyTotal]:
    rows: Iterable[tuple[str, int, Decimal]] = (
        invoices.order_by("currency")
        .values("currency")
        .annotate(invoices=Count("pk"), amount=Sum(amount))
        .values_list("currency", "invoices", "amount")
    )
    return [
        CurrencyTotal(currency, invoices, round_amount(amount, currency))
        for currency, invoices, amount in rows
    ]
