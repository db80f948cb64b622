"""E-mails to customers: what became of them, how they read, and sending one again."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.models import CreditNote, Email, Invoice
from billing.services.email_words import rendered
from billing.services.emails import send_again
from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    Page,
    ReadOnlyAdmin,
    ReadOnlyInline,
    StyledForm,
    Tone,
    add_page,
    badge,
    detail_action,
    display,
    link,
    link_to,
    linked,
    register,
)
from config.queue import enqueue_on_commit

TONES: dict[str, Tone] = {
    Email.Status.PENDING: "info",
    Email.Status.SENT: "success",
    Email.Status.SKIPPED: "default",
    Email.Status.FAILED: "danger",
}
MISSED = "This customer gets none: the address is missing, or e-mails are switched off."


def status_of(email: Email) -> str:
    if email.status == Email.Status.PENDING and email.attempts:
        return badge("Tried again later", "warning")
    return badge(email.get_status_display(), TONES[email.status])


class EmailInline(ReadOnlyInline[Email, Invoice]):
    model = Email
    fk_name = "invoice"
    verbose_name_plural = "e-mails"
    fields = ("page", "created_at", "state", "recipient", "sent_at")
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Email]:
        return super().get_queryset(request).select_related("invoice", "credit_note")

    @display(description="Status")
    def state(self, email: Email) -> str:
        return status_of(email)


@register(Email)
class EmailAdmin(ReadOnlyAdmin[Email]):
    list_display = (
        "about",
        "customer",
        "state",
        "recipient",
        "created_at",
        "sent_at",
        "last_error",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("created_at", DayRangeFilter),
    )
    list_select_related = ("customer", "invoice", "credit_note")
    search_fields = (
        "recipient",
        "subject",
        "invoice__number",
        "credit_note__number",
        "customer__key",
        "customer__name",
    )
    search_help_text = "Number, customer, address or subject"
    date_hierarchy = "created_at"
    fieldsets = (
        (None, {"fields": ("kind", "document_link", "customer_link", "state", "preview")}),
        (
            "Sending",
            {
                "fields": (
                    "recipient",
                    "subject",
                    "created_at",
                    "sent_at",
                    "times_sent",
                    "attempts",
                    "retry_at",
                    "last_error",
                )
            },
        ),
    )
    readonly_fields = ("document_link", "customer_link", "state", "preview")
    actions_detail = ("again",)
    customer_link = linked("customer")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Email]:
        related = ("customer", "invoice__customer", "credit_note__customer")
        return super().get_queryset(request).select_related(*related)

    @detail_action(
        "Send again",
        "The e-mail is sent as soon as a worker is free, to the address that the customer has now.",
        icon="send",
        tone="primary",
    )
    def again(self, request: HttpRequest, email: Email, values: dict[str, Any]) -> str:
        send_again(email=email, at=timezone.now())
        enqueue_on_commit("billing.tasks.send_emails")
        return f"{email} is about to be sent."

    @display(description="E-mail", ordering="kind")
    def about(self, email: Email) -> str:
        return str(email)

    @display(description="Status", ordering="status")
    def state(self, email: Email) -> str:
        return status_of(email)

    @display(description="About")
    def document_link(self, email: Email) -> str:
        return link_to(email.document)

    @display(description="How it reads")
    def preview(self, email: Email) -> str:
        return link(preview_address(email.document, email.kind, email.occasion), "Preview")


def preview_address(document: Invoice | CreditNote, kind: str, occasion: str = "") -> str:
    query = {"number": str(document.number), "kind": kind, "days": occasion or "0"}
    return f"{reverse('admin:email_preview')}?{urlencode(query)}"


class PreviewForm(StyledForm):
    number = forms.CharField(max_length=40, help_text="Of an issued invoice or a credit note.")
    kind = forms.ChoiceField(choices=Email.Kind)
    days = forms.IntegerField(
        required=False, initial=1, help_text="For a reminder: days since the invoice was due."
    )


def preview_page(request: HttpRequest) -> dict[str, Any]:
    """Show how an e-mail about a document would read now."""
    form = PreviewForm(request.GET if "number" in request.GET else None)
    if not form.is_valid():
        return {"form": form}
    asked = form.cleaned_data
    email = Email(kind=asked["kind"], occasion=str(asked["days"] or 0))
    if asked["kind"] == Email.Kind.CREDIT_NOTE:
        notes = CreditNote.objects.issued().select_related("invoice", "customer")
        email.credit_note = notes.filter(number=asked["number"]).first()
    else:
        invoices = Invoice.objects.issued().select_related("customer")
        email.invoice = invoices.filter(number=asked["number"]).first()
    if email.invoice is None and email.credit_note is None:
        form.add_error("number", "Nothing was issued under this number that has such an e-mail.")
        return {"form": form}
    customer = email.document.customer
    is_reached = customer.email and customer.receives_emails
    return {
        "form": form,
        "mail": rendered(email),
        "recipient": customer.email if is_reached else MISSED,
    }


add_page(
    Page(
        route="billing/email-preview/",
        name="email_preview",
        title="Preview of e-mails",
        template="admin/email_preview.html",
        permission="billing.view_email",
        content=preview_page,
    )
)
