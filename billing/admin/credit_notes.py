"""Credit notes: read here, and issued from the page of an invoice, with a look at them before."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, override

from django import forms
from django.contrib import messages
from django.contrib.admin import site
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from billing.admin import words
from billing.models import CreditNote, CreditNoteLine, Invoice
from billing.selectors.credit_notes import Creditable, creditable
from billing.services.credit_notes import NoteDraft, Settlement
from billing.services.crediting import (
    CreditWish,
    LineWish,
    create_credit_note,
    mark_refunded,
    preview_credit_note,
)
from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    Page,
    ReadOnlyAdmin,
    ReadOnlyInline,
    StyledForm,
    add_page,
    badge,
    change_url,
    detail_action,
    display,
    link,
    linked,
    register,
    style,
)
from config.errors import DomainError

SETTLEMENTS = [
    (Settlement.CREDIT, "Credit for later invoices"),
    (Settlement.REFUND, "Refund: by Stripe if it came through Stripe, otherwise by hand"),
    (Settlement.OUT_OF_BAND, "Refund by hand, also if it came through Stripe"),
]
REASONS = [
    (each.value, each.label) for each in CreditNote.Reason if each != CreditNote.Reason.ADJUSTMENT
]


def credit_address(invoice: Invoice) -> str:
    return f"{reverse('admin:credit_invoice')}?invoice={invoice.pk}"


class CreditForm(StyledForm):
    """What to give back of an invoice: an amount, amounts of lines, or nothing said for the rest."""

    amount = forms.DecimalField(
        required=False,
        help_text="With tax. Leave it and the lines empty for all that is left.",
    )
    settlement = forms.ChoiceField(
        choices=SETTLEMENTS,
        label="What was paid already",
        help_text="What is still owed is always lowered first.",
    )
    reason = forms.ChoiceField(choices=REASONS)
    memo = forms.CharField(max_length=500, required=False, help_text="Printed on the credit note.")

    def __init__(self, *args: Any, of: Creditable, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = lines_asked(of)
        for field in lines.values():
            style(field)
        self.fields = lines | self.fields


def lines_asked(of: Creditable) -> dict[str, forms.Field]:
    """Return a field for each line that something is left of."""
    return {
        f"line_{number}": forms.DecimalField(
            required=False,
            label=f"{number}. {line.description}",
            help_text=f"Before tax; {words.money(left, of.invoice.currency)} left.",
        )
        for number, (line, left) in enumerate(zip(of.lines, of.left.lines, strict=True), start=1)
        if left > 0
    }


def credit_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Ask what to give back of an invoice, show the credit note there would be, and issue it."""
    invoice = invoice_asked(request)
    of = creditable(invoice)
    form = CreditForm(request.POST or None, of=of)
    context = {
        "invoice": invoice,
        "form": form,
        "back": change_url(invoice),
        "left": words.money(of.left.total, invoice.currency),
    }
    if request.method != "POST" or not form.is_valid():
        return context
    wish = wish_of(invoice, form.cleaned_data)
    try:
        if "issue" in request.POST:
            note = create_credit_note(wish=wish, at=timezone.now())
            site._registry[Invoice].log_change(
                request, invoice, f"Credit: {note} over {note.total} {note.currency}."
            )
            messages.success(request, f"Credit note {note} is issued.")
            return HttpResponseRedirect(change_url(note))
        return context | {"preview": shown(preview_credit_note(wish=wish))}
    except DomainError as refusal:
        form.add_error(*place_of(refusal, form))
        return context


def invoice_asked(request: HttpRequest) -> Invoice:
    text = request.GET.get("invoice", "")
    is_id = text.isascii() and text.isdigit() and len(text) < 19
    found = Invoice.objects.select_related("customer").filter(pk=text).first() if is_id else None
    if found is None:
        raise Http404("There is no such invoice.")
    return found


def wish_of(invoice: Invoice, values: dict[str, Any]) -> CreditWish:
    lines = [
        LineWish(int(name.removeprefix("line_")), amount)
        for name, amount in values.items()
        if name.startswith("line_") and amount is not None
    ]
    return CreditWish(
        invoice=invoice,
        lines=lines,
        amount=values["amount"],
        reason=values["reason"],
        memo=values["memo"],
        settlement=values["settlement"],
    )


def place_of(refusal: DomainError, form: forms.Form) -> tuple[str | None, str]:
    """Return the field that a refusal is about, none for one about the whole, and its words."""
    field = getattr(refusal, "field", "")
    if field.startswith("lines."):
        asked = [name for name in form.changed_data if name.startswith("line_")]
        return asked[int(field.split(".")[1])], refusal.message
    return (field if field in form.fields else None), refusal.message


def shown(draft: NoteDraft) -> dict[str, Any]:
    """Return the credit note there would be, as staff read it."""
    currency = draft.of.invoice.currency
    how = draft.settled
    sums = [
        ("Subtotal", draft.subtotal),
        *[(f"{tax['name']} {tax['percent']} %", Decimal(tax["amount"])) for tax in draft.taxes],
        ("Total", draft.total),
        (f"Off what is owed on {draft.of.invoice}", how.taken_off_due),
        (f"Paid back {how.refund_through and THROUGH[how.refund_through]}", how.refunded),
        ("Credit for later invoices", how.granted),
    ]
    return {
        "lines": [(line.description, words.money(line.amount, currency)) for line in draft.lines],
        "sums": [(name, words.money(amount, currency)) for name, amount in sums if amount],
    }


THROUGH: dict[str, str] = {
    CreditNote.RefundThrough.STRIPE: "through Stripe",
    CreditNote.RefundThrough.HAND: "by hand",
}


class LineInline(ReadOnlyInline[CreditNoteLine, CreditNote]):
    model = CreditNoteLine
    verbose_name_plural = "lines"
    ordering = ("position",)
    fields = ("description", "kind", "sum")
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditNoteLine]:
        return super().get_queryset(request).select_related("credit_note")

    @display(description="Amount")
    def sum(self, line: CreditNoteLine) -> str:
        return words.money(line.amount - line.discount, line.credit_note.currency)


class CreditNoteInline(ReadOnlyInline[CreditNote, Invoice]):
    model = CreditNote
    verbose_name_plural = "credit notes"
    fields = ("page", "issued_at", "reason", "sum", "outcome")
    tab = False

    @display(description="Total")
    def sum(self, note: CreditNote) -> str:
        return words.money(note.total, note.currency)

    @display(description="What became of it")
    def outcome(self, note: CreditNote) -> str:
        return outcome_of(note)


class RefundedForm(StyledForm):
    reference = forms.CharField(
        max_length=200, required=False, help_text="Such as that of the bank transfer."
    )


@register(CreditNote)
class CreditNoteAdmin(ReadOnlyAdmin[CreditNote]):
    list_display = ("number", "invoice", "customer", "reason", "sum", "refund", "issued_at")
    list_filter = (
        ("reason", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("issued_at", DayRangeFilter),
        "refund_through",
        "currency",
    )
    list_select_related = ("invoice__customer", "customer")
    search_fields = ("number", "invoice__number", "customer__key", "customer__name", "memo")
    search_help_text = "Number, invoice, customer or memo"
    date_hierarchy = "issued_at"
    inlines = (LineInline,)
    fieldsets = (
        (None, {"fields": ("invoice_link", "customer_link", "reason", "memo", "issued_at")}),
        ("Money", {"fields": ("sum", "tax_sum", "outcome", "refund", "refund_reference")}),
        ("Document", {"fields": ("pdf_link",)}),
        ("Parties as they were at issue", {"classes": ["collapse"], "fields": ("seller", "buyer")}),
    )
    readonly_fields = (
        "invoice_link", "customer_link", "sum", "tax_sum", "outcome", "refund", "pdf_link",
    )  # fmt: skip
    actions_detail = ("refunded",)
    invoice_link = linked("invoice")
    customer_link = linked("customer")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditNote]:
        return super().get_queryset(request).select_related("invoice__customer", "customer")

    @detail_action(
        "Mark as refunded",
        "You have sent the money back. From then on this credit note waits for nothing.",
        icon="payments",
        tone="primary",
        form=RefundedForm,
        offered=lambda note: note.awaits_refund and note.refund_through == "hand",
    )
    def refunded(self, request: HttpRequest, note: CreditNote, values: dict[str, Any]) -> str:
        mark_refunded(credit_note=note, at=timezone.now(), reference=values["reference"])
        return f"{words.money(note.refunded, note.currency)} of {note} are marked as refunded."

    @display(description="Total", ordering="total")
    def sum(self, note: CreditNote) -> str:
        return words.money(note.total, note.currency)

    @display(description="of which tax")
    def tax_sum(self, note: CreditNote) -> str:
        return words.money(note.tax, note.currency)

    @display(description="What became of it")
    def outcome(self, note: CreditNote) -> str:
        return outcome_of(note)

    @display(description="Refund", ordering="refunded_at")
    def refund(self, note: CreditNote) -> str:
        if not note.refunded:
            return "-"
        if note.awaits_refund:
            return badge(f"to be sent {THROUGH[note.refund_through]}", "warning")
        return badge("sent", "success")

    @display(description="PDF")
    def pdf_link(self, note: CreditNote) -> str:
        return link(f"{reverse('admin:credit_note_pdf')}?note={note.pk}", f"{note.number}.pdf")


def outcome_of(note: CreditNote) -> str:
    """Return how a credit note is settled, in words."""
    parts = [
        (note.taken_off_due, "off what was owed"),
        (note.refunded, "paid back"),
        (note.granted, "as credit"),
    ]
    said = [f"{words.money(amount, note.currency)} {text}" for amount, text in parts if amount]
    return ", ".join(said) or "-"


add_page(
    Page(
        route="billing/credit/",
        name="credit_invoice",
        title="Credit an invoice",
        template="admin/credit_invoice.html",
        permission="billing.change_invoice",
        content=credit_page,
    )
)
