"""Invoices and payments: documents that are read here and moved on by actions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, override

from django import forms
from django.contrib.admin.utils import unquote
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from billing.admin import words
from billing.admin.credit_notes import CreditNoteInline, credit_address
from billing.admin.emails import EmailInline
from billing.admin.explanations import explanation_address
from billing.admin.stripe import push_queued
from billing.models import Invoice, InvoiceLine, NumberSeries, Payment, StripeOperation, StripePush
from billing.selectors.accounts import RECOMPUTED
from billing.selectors.credit_notes import CREDITABLE
from billing.services.invoicing import (
    charge_invoice,
    finalize_invoice,
    mark_paid,
    mark_uncollectible,
    recompute_drafts,
    reissue_invoice,
    void_invoice,
)
from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    Done,
    ReadOnlyAdmin,
    ReadOnlyInline,
    SimpleListFilter,
    StyledForm,
    change_url,
    detail_action,
    display,
    link,
    link_to,
    linked,
    page_action,
    register,
)


class PastDueFilter(SimpleListFilter):
    title = "payment"
    parameter_name = "payment"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("past_due", "Past due"), ("outstanding", "Outstanding")]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        if self.value() is None:
            return queryset
        unpaid = queryset.filter(
            status=Invoice.Status.OPEN, amount_paid__lt=F("total") - F("amount_credited")
        )
        return unpaid.filter(due_at__lt=timezone.now()) if self.value() == "past_due" else unpaid


class PaidForm(StyledForm):
    """How money came that did not come through Stripe."""

    reference = forms.CharField(
        max_length=200, help_text="What it can be found by, such as the text of the bank transfer."
    )
    paid_at = forms.SplitDateTimeField(label="Received at (UTC)")


class PaymentInline(ReadOnlyInline[Payment, Invoice]):
    model = Payment
    fields = ("paid_at", "source", "sum", "external_id")
    tab = False

    @display(description="Amount")
    def sum(self, payment: Payment) -> str:
        return words.money(payment.amount, payment.invoice.currency)


class OperationInline(ReadOnlyInline[StripeOperation, Invoice]):
    model = StripeOperation
    verbose_name_plural = "Asked of Stripe"
    fields = ("requested_at", "kind", "reference", "status", "result")
    tab = False

    @display(description="Result")
    def result(self, operation: StripeOperation) -> str:
        return operation.attention or operation.last_error or operation.outcome or "-"


def document_of(invoice: Invoice) -> dict[str, Any]:
    """Return the invoice as it reads: lines with how they came about, and what they add up to."""
    sums = [
        ("Subtotal", invoice.subtotal),
        ("Discount", -invoice.discount),
        *tax_sums(invoice),
        ("Credits", -invoice.credits),
        ("Total", invoice.total),
        ("Paid", -invoice.amount_paid),
        ("Credit notes", -invoice.amount_credited),
        ("Due", invoice.amount_due),
    ]
    return {
        "period": words.period(invoice.period_start, invoice.period_end, invoice.customer),
        "badge": words.invoice_badge(invoice, timezone.now()),
        "total": words.money(invoice.total, invoice.currency),
        "lines": [line_of(line, invoice) for line in invoice.lines.all()],
        "tax_note": invoice.tax_note,
        "sums": [
            (name, words.money(amount, invoice.currency))
            for name, amount in sums
            if amount or name in {"Subtotal", "Total", "Due"}
        ],
    }


def tax_sums(invoice: Invoice) -> list[tuple[str, Decimal]]:
    """Return the tax of each rate."""
    return [
        (
            f"{tax['name']} {tax['percent']} % on "
            f"{words.money(Decimal(tax['base']), invoice.currency)}",
            Decimal(tax["amount"]),
        )
        for tax in invoice.taxes
    ]


def line_of(line: InvoiceLine, invoice: Invoice) -> dict[str, str]:
    currency = invoice.currency
    return {
        "description": line.description,
        "kind": line.get_kind_display(),
        "quantity": words.quantity(line.quantity),
        "amount": words.money(line.amount, currency),
        "steps": words.steps(line.steps, currency),
        "explanation": "" if invoice.is_draft else explanation_address(invoice, line),
    }


def is_to_push(invoice: Invoice) -> bool:
    push = getattr(invoice, "stripe_push", None)
    is_at_stripe = push is not None and push.status == StripePush.Status.COMPLETED
    return invoice.status in {Invoice.Status.OPEN, Invoice.Status.PAID} and not is_at_stripe


@register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin[Invoice]):
    list_display = (
        "name",
        "customer",
        "status_badge",
        "period",
        "total_money",
        "due_money",
        "issued_at",
        "due_at",
        "stripe",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        PastDueFilter,
        ("customer", AutocompleteSelectFilter),
        ("issued_at", DayRangeFilter),
        ("period_start", DayRangeFilter),
        "currency",
    )
    list_select_related = ("customer", "stripe_push")
    search_fields = (
        "number",
        "customer__key",
        "customer__name",
        "stripe_push__stripe_invoice_id",
    )
    search_help_text = "Number, customer or Stripe's id"
    date_hierarchy = "period_start"
    inlines = (CreditNoteInline, PaymentInline, OperationInline, EmailInline)
    change_form_outer_before_template = "admin/invoice_document.html"
    # In the order things happen; what has not happened is not shown.
    instants = ("finalize_at", "issued_at", "due_at", "paid_at", "voided_at")
    readonly_fields = (
        "customer_link",
        "subscription_link",
        "stripe_link",
        "portal_link",
        "pdf_link",
    )
    actions_detail = (
        "recompute", "finalize", "push", "charge", "paid", "credit", "uncollectible", "void", "reissue",
    )  # fmt: skip
    customer_link = linked("customer")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        related = ("customer", "stripe_push", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*related)

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Invoice | None = None) -> Any:
        passed = [
            name
            for name in self.instants
            if obj is not None and getattr(obj, name) and obj.is_draft == (name == "finalize_at")
        ]
        links = (
            "customer_link",
            "subscription_link",
            *passed,
            "stripe_link",
            "portal_link",
            "pdf_link",
        )
        parties = {"classes": ["collapse"], "fields": ("seller", "buyer")}
        is_issued = obj is not None and not obj.is_draft
        return [
            (None, {"fields": links}),
            *([("Parties as they were at issue", parties)] if is_issued else []),
        ]

    @override
    def get_inlines(self, request: HttpRequest, obj: Invoice | None) -> list[type[Any]]:
        return [] if obj is None or obj.is_draft else super().get_inlines(request, obj)

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        invoice = self.get_object(request, unquote(object_id))
        document = None if invoice is None else document_of(invoice)
        extra = {**(extra_context or {}), "document": document}
        return super().change_view(request, object_id, form_url, extra)

    @detail_action(
        "Recompute",
        "The lines of this customer's drafts are computed again from the usage there is now.",
        icon="refresh",
        offered=lambda invoice: invoice.is_draft,
    )
    def recompute(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        recompute_drafts(customer=invoice.customer, at=timezone.now())
        drafted = Invoice.objects.filter(pk=invoice.pk).first()
        if drafted is None:
            return "Nothing is left to bill, so the draft is gone."
        return f"The draft is now over {words.money(drafted.total, drafted.currency)}."

    @detail_action(
        "Finalize",
        "The draft is computed for the last time and issued under the next number. From then on "
        "it cannot be changed. It is sent to Stripe, if Stripe is set up.",
        icon="check",
        tone="primary",
        offered=lambda invoice: invoice.is_draft,
    )
    def finalize(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        issued = finalize_invoice(invoice=invoice, at=timezone.now())
        total = words.money(issued.total, issued.currency)
        return f"Invoice {issued} over {total} is issued."

    @detail_action(
        "Push to Stripe",
        "The invoice is brought to Stripe as soon as a worker is free, from wherever an earlier "
        "attempt stopped. Pushing again never makes a second invoice there.",
        icon="cloud_upload",
        offered=lambda invoice: is_to_push(invoice),
    )
    def push(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        return push_queued(invoice)

    @detail_action(
        "Charge now",
        "The customer's default payment method at Stripe is charged once, as soon as a worker is "
        "free. A charge whose outcome is not known yet is never repeated.",
        icon="credit_card",
        offered=lambda invoice: invoice.status == Invoice.Status.OPEN and not is_to_push(invoice),
    )
    def charge(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        charge_invoice(invoice=invoice, at=timezone.now())
        return f"Invoice {invoice} is about to be charged."

    @page_action("Credit", icon="undo", offered=lambda invoice: invoice.status in CREDITABLE)
    def credit(self, invoice: Invoice) -> str:
        return credit_address(invoice)

    @detail_action(
        "Mark as paid",
        "All that is owed came in another way than through Stripe, such as by bank transfer. One "
        "that is at Stripe is marked there first, so that nobody pays it again.",
        icon="payments",
        form=PaidForm,
        offered=lambda invoice: (
            invoice.status in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}
        ),
    )
    def paid(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        now = timezone.now()
        reference, paid_at = values["reference"], values["paid_at"]
        done = mark_paid(invoice=invoice, reference=reference, paid_at=paid_at, at=now)
        if done.status != Invoice.Status.PAID:
            return f"Invoice {invoice} is paid as soon as it is marked so at Stripe."
        return f"Invoice {invoice} is paid."

    @detail_action(
        "Mark as uncollectible",
        "This invoice is given up, at Stripe too. It can still be paid or voided.",
        icon="money_off",
        offered=lambda invoice: invoice.status == Invoice.Status.OPEN,
    )
    def uncollectible(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        mark_uncollectible(invoice=invoice, at=timezone.now())
        return f"Invoice {invoice} is given up."

    @detail_action(
        "Void",
        "Nothing is owed on this invoice any more. Its number and content stay, and its period is "
        "not invoiced again by itself. One that is at Stripe is voided there first. This cannot be "
        "undone.",
        icon="block",
        tone="danger",
        offered=lambda invoice: (
            invoice.status in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}
        ),
    )
    def void(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> str:
        voided = void_invoice(invoice=invoice, at=timezone.now())
        if voided.status != Invoice.Status.VOID:
            return f"Invoice {invoice} is void as soon as Stripe has voided it."
        return f"Invoice {invoice} is void."

    @detail_action(
        "Bill again",
        "What this void invoice billed is billed again, in a draft that is worked out anew.",
        icon="replay",
        offered=lambda invoice: (
            invoice.status == Invoice.Status.VOID
            and not invoice.is_reissued
            and invoice.billing_reason in RECOMPUTED
        ),
    )
    def reissue(self, request: HttpRequest, invoice: Invoice, values: dict[str, Any]) -> Done:
        draft = reissue_invoice(invoice=invoice, at=timezone.now())
        return Done(f"What {invoice} billed is in this draft now.", change_url(draft))

    @display(description="Number", ordering="number")
    def name(self, invoice: Invoice) -> str:
        return invoice.number or "Draft"

    @display(description="Status", ordering="status")
    def status_badge(self, invoice: Invoice) -> str:
        return words.invoice_badge(invoice, timezone.now())

    @display(description="Period", ordering="period_start")
    def period(self, invoice: Invoice) -> str:
        return words.period(invoice.period_start, invoice.period_end, invoice.customer)

    @display(description="Total", ordering="total")
    def total_money(self, invoice: Invoice) -> str:
        return words.money(invoice.total, invoice.currency)

    @display(description="Due")
    def due_money(self, invoice: Invoice) -> str:
        return words.money(invoice.amount_due, invoice.currency)

    @display(description="Subscription")
    def subscription_link(self, invoice: Invoice) -> str:
        if invoice.subscription is None:
            return "-"
        return link_to(invoice.subscription, invoice.subscription.plan_version)

    @display(description="Stripe", ordering="stripe_push__status")
    def stripe(self, invoice: Invoice) -> str:
        push = getattr(invoice, "stripe_push", None)
        return "-" if push is None else words.push_badge(push)

    @display(description="At Stripe")
    def stripe_link(self, invoice: Invoice) -> str:
        push = getattr(invoice, "stripe_push", None)
        if push is None:
            return "-"
        return format_html("{} {}", link_to(push), words.push_badge(push))

    @display(description="PDF")
    def pdf_link(self, invoice: Invoice) -> str:
        if invoice.is_draft:
            return "An invoice has one once it is issued."
        return link(f"{reverse('admin:invoice_pdf')}?invoice={invoice.pk}", f"{invoice.number}.pdf")

    @display(description="In the customer's portal")
    def portal_link(self, invoice: Invoice) -> str:
        if invoice.is_draft:
            return "Customers see an invoice once it is issued."
        address = reverse("portal-invoice", args=[invoice.customer.key, invoice.number])
        return link(address, address)


@register(Payment)
class PaymentAdmin(ReadOnlyAdmin[Payment]):
    list_display = ("paid_at", "invoice", "customer", "sum", "source", "external_id")
    list_filter = (
        ("source", ChoicesDropdownFilter),
        ("invoice__customer", AutocompleteSelectFilter),
        ("paid_at", DayRangeFilter),
    )
    list_select_related = ("invoice__customer",)
    search_fields = ("external_id", "invoice__number", "invoice__customer__name")
    date_hierarchy = "paid_at"
    fields = ("invoice_link", "customer", "sum", "source", "external_id", "paid_at", "created_at")
    readonly_fields = ("invoice_link", "customer", "sum")
    invoice_link = linked("invoice")

    @display(description="Customer", ordering="invoice__customer__name")
    def customer(self, payment: Payment) -> str:
        return str(payment.invoice.customer)

    @display(description="Amount", ordering="amount")
    def sum(self, payment: Payment) -> str:
        return words.money(payment.amount, payment.invoice.currency)


@register(NumberSeries)
class NumberSeriesAdmin(ReadOnlyAdmin[NumberSeries]):
    """Where the next document numbers come from. They are gapless, so nobody may set them."""

    list_display = ("prefix", "next_number")
    search_fields = ("prefix",)
