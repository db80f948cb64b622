"""The customer page with everything that billing knows about the customer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, override

from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin import words
from billing.admin.tiles import Tile, counted, figures, invoices, listing
from billing.models import CreditGrant, Invoice, Subscription
from billing.selectors.credits import credit_balances
from billing.selectors.invoices import open_totals
from billing.selectors.previews import cost_so_far, credits_in
from billing.selectors.statements import Statement
from billing.selectors.subscriptions import current_subscriptions
from config.admin import ReadOnlyInline, bars_of, change_url, display, register, site
from customers.admin import ApiKeyInline, MemberInline
from customers.admin import CustomerAdmin as PlainCustomerAdmin
from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage

CHART_DAYS = 30


class SubscriptionInline(ReadOnlyInline[Subscription, Customer]):
    model = Subscription
    ordering = ("-start_at",)
    fields = ("page", "start_at", "end_at", "canceled_at")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return super().get_queryset(request).select_related("customer", "plan_version__plan")


class InvoiceInline(ReadOnlyInline[Invoice, Customer]):
    """The newest invoices, a dozen to a page."""

    model = Invoice
    ordering = ("-period_start", "-pk")
    fields = (
        "page",
        "period",
        "status_badge",
        "total_money",
        "due_money",
        "issued_at",
        "due_at",
    )
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        return super().get_queryset(request).select_related("customer")

    @display(description="Period")
    def period(self, invoice: Invoice) -> str:
        return words.period(invoice.period_start, invoice.period_end, invoice.customer)

    @display(description="Status")
    def status_badge(self, invoice: Invoice) -> str:
        return words.invoice_badge(invoice, timezone.now())

    @display(description="Total")
    def total_money(self, invoice: Invoice) -> str:
        return words.money(invoice.total, invoice.currency)

    @display(description="Due")
    def due_money(self, invoice: Invoice) -> str:
        return words.money(invoice.amount_due, invoice.currency)


class CreditInline(ReadOnlyInline[CreditGrant, Customer]):
    model = CreditGrant
    verbose_name_plural = "credits"
    ordering = ("-pk",)
    fields = ("page", "kind", "granted", "left", "priority", "effective_at", "expires_at")
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        return super().get_queryset(request).with_balance()  # type: ignore[attr-defined,no-any-return]

    @display(description="Granted")
    def granted(self, grant: CreditGrant) -> str:
        return words.money(grant.amount, grant.currency)

    @display(description="Left")
    def left(self, grant: CreditGrant) -> str:
        return words.money(grant.balance, grant.currency)


site.unregister(Customer)


@register(Customer)
class CustomerAdmin(PlainCustomerAdmin):
    inlines = (SubscriptionInline, InvoiceInline, CreditInline, ApiKeyInline, MemberInline)
    change_form_outer_before_template = "admin/customer_summary.html"

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        customer = self.get_object(request, unquote(object_id))
        summary = None if customer is None else summary_of(customer, timezone.now())
        extra = {**(extra_context or {}), "summary": summary}
        return super().change_view(request, object_id, form_url, extra)


def summary_of(customer: Customer, at: datetime) -> dict[str, Any]:
    """Return what stands above the form: plan, money, usage, and where to look further."""
    subscriptions = current_subscriptions(customer, at)
    prices = [price for row in subscriptions for price in row.plan_version.prices.all()]
    statements = cost_so_far(customer, at)
    meter = next((price.meter for price in prices if price.meter is not None), None)
    return {
        "tiles": [
            plan_tile(customer, subscriptions),
            cost_tile(customer, subscriptions, statements),
            debt_tile(customer),
            *credit_tiles(customer, statements, at),
        ],
        "links": links(customer),
        **({} if meter is None else chart(customer, meter, at)),
    }


def plan_tile(customer: Customer, subscriptions: list[Subscription]) -> Tile:
    if not subscriptions:
        address = f"{reverse('admin:billing_subscription_add')}?customer={customer.pk}"
        return Tile("Plan", ("none",), "Start a subscription", address, "warning")
    names = tuple(str(row.plan_version) for row in subscriptions)
    since = f"since {words.day(subscriptions[0].start_at, customer)}"
    return Tile("Plan", names, since, change_url(subscriptions[0]))


def cost_tile(
    customer: Customer, subscriptions: list[Subscription], statements: list[Statement]
) -> Tile:
    costs = tuple(words.money(each.total, each.currency) for each in statements)
    address = listing("billing_subscription", customer__id__exact=customer.pk)
    if len(subscriptions) == 1:
        address = change_url(subscriptions[0])
    return Tile("This period so far", costs or ("none",), "usage and fees", address)


def debt_tile(customer: Customer) -> Tile:
    owed = open_totals(customer)
    return Tile(
        "Owed",
        figures(owed),
        counted(invoices(owed), "open invoice"),
        listing("billing_invoice", customer__id__exact=customer.pk, status__exact="open"),
    )


def credit_tiles(customer: Customer, statements: list[Statement], at: datetime) -> list[Tile]:
    """Return what a customer with credits has in each currency, and what open usage will take."""
    drafts = customer.invoices.filter(status=Invoice.Status.DRAFT)
    balances = credit_balances(customer, at, credits_in([*drafts, *statements]))
    address = listing("billing_creditgrant", customer__id__exact=customer.pk)
    return [
        Tile(
            "Credits",
            (words.money(each.balance, each.currency),),
            f"{words.money(each.pending, each.currency)} taken by what is open",
            address,
        )
        for each in balances
    ]


def links(customer: Customer) -> list[tuple[str, str, str]]:
    query = urlencode({"customer": customer.pk})
    return [
        ("Usage", "bar_chart", f"{reverse('admin:usage')}?{query}"),
        ("Events", "data_object", f"{reverse('admin:events')}?{query}"),
        ("View portal", "open_in_new", reverse("portal-overview", args=[customer.key])),
        ("Create API key", "key", f"{reverse('admin:customers_apikey_add')}?{query}"),
    ]


def chart(customer: Customer, meter: Meter, at: datetime) -> dict[str, Any]:
    """Return a month of the first priced meter, by day."""
    rows = usage(
        meter=meter, customer=customer, start=at - timedelta(days=CHART_DAYS), end=at, window="day"
    )
    bars = [
        (f"{row.start.astimezone(customer.zone):%d %b}", words.quantity(row.value), row.value)
        for row in rows
    ]
    return {
        "bars": bars_of(bars),
        "chart_title": meter.name,
        "chart_note": f"The last {CHART_DAYS} days, by day in {customer.time_zone}",
        "peak": f"highest: {words.quantity(max(row.value for row in rows))}",
    }
