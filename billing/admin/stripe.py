"""What is at Stripe, and what Stripe told."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from billing.admin import stripe_words, words
from billing.models import (
    Collection,
    Invoice,
    StripeCustomer,
    StripeEvent,
    StripePush,
    StripePushStep,
)
from billing.selectors.attention import pushes_needing_attention
from billing.selectors.stripe import current_halt
from billing.services.invoicing import queue_push
from billing.services.stripe_portal import set_collection
from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    ReadOnlyInline,
    SimpleListFilter,
    badge,
    detail_action,
    display,
    linked,
    register,
)
from config.queue import enqueue_on_commit


class AttentionFilter(SimpleListFilter):
    title = "attention"
    parameter_name = "attention"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Held for a person")]

    @override
    def queryset(
        self, request: HttpRequest, queryset: QuerySet[StripePush]
    ) -> QuerySet[StripePush]:
        return queryset if self.value() is None else queryset & pushes_needing_attention()


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("handled", "Handled"), ("waiting", "Not handled yet")]

    @override
    def queryset(
        self, request: HttpRequest, queryset: QuerySet[StripeEvent]
    ) -> QuerySet[StripeEvent]:
        if self.value() is None:
            return queryset
        return queryset.filter(handled_at__isnull=self.value() == "waiting")


class StepInline(ReadOnlyInline[StripePushStep, StripePush]):
    model = StripePushStep
    fields = ("name", "started_at", "completed_at", "failures", "generation")
    tab = False


def push_queued(invoice: Invoice) -> str:
    """Queue the push of an invoice and return the sentence that says so."""
    queue_push(invoice=invoice)
    return f"The push of {invoice} is queued."


@register(StripePush)
class StripePushAdmin(ReadOnlyAdmin[StripePush]):
    list_display = (
        "invoice",
        "customer",
        "status_badge",
        "stripe_invoice_id",
        "stripe_status",
        "attempts",
        "reason",
        "retry_at",
    )
    list_filter = (
        AttentionFilter,
        ("status", ChoicesDropdownFilter),
        ("invoice__customer", AutocompleteSelectFilter),
        ("completed_at", DayRangeFilter),
    )
    list_select_related = ("invoice__customer",)
    search_fields = ("stripe_invoice_id", "stripe_number", "invoice__number")
    ordering = ("-id",)
    inlines = (StepInline,)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "invoice_link",
                    "status_badge",
                    "attention",
                    "last_error",
                    "collection_problem",
                    "what_happens_next",
                    "request_id",
                )
            },
        ),
        (
            "At Stripe",
            {
                "fields": (
                    "stripe_invoice_id",
                    "stripe_number",
                    "stripe_status",
                    "payment_page",
                    "collection_method",
                    "delivery",
                    "attempt_count",
                    "next_payment_attempt_at",
                )
            },
        ),
        (
            "Attempts",
            {
                "fields": (
                    "attempts",
                    "retry_at",
                    "first_started_at",
                    "completed_at",
                    "environment",
                )
            },
        ),
    )
    readonly_fields = (
        "invoice_link",
        "status_badge",
        "payment_page",
        "delivery",
        "what_happens_next",
    )

    actions_detail = ("push",)
    invoice_link = linked("invoice")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[StripePush]:
        return super().get_queryset(request).select_related("invoice__customer")

    @detail_action(
        "Push now",
        "The push goes on from where it stopped, as soon as a worker is free. Pushing again never "
        "makes a second invoice at Stripe.",
        icon="cloud_upload",
        tone="primary",
        offered=lambda push: push.status != StripePush.Status.COMPLETED,
    )
    def push(self, request: HttpRequest, push: StripePush, values: dict[str, Any]) -> str:
        return push_queued(push.invoice)

    @display(description="Customer", ordering="invoice__customer__name")
    def customer(self, push: StripePush) -> str:
        return str(push.invoice.customer)

    @display(description="Status", ordering="status")
    def status_badge(self, push: StripePush) -> str:
        return words.push_badge(push)

    @display(description="Reason")
    def reason(self, push: StripePush) -> str:
        return push.attention or push.collection_problem or push.last_error or "-"

    @display(description="What happens next")
    def what_happens_next(self, push: StripePush) -> str:
        return stripe_words.what_happens_next(push, current_halt())

    @display(description="E-mail")
    def delivery(self, push: StripePush) -> str:
        return stripe_words.delivery(push)

    @display(description="Payment page")
    def payment_page(self, push: StripePush) -> str:
        if not push.hosted_invoice_url.startswith("http"):
            return "-"
        return format_html(
            '<a href="{0}" class="text-link" rel="noreferrer">{0}</a>', push.hosted_invoice_url
        )


@register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin[StripeEvent]):
    list_display = ("received_at", "type", "object_id", "state", "outcome", "attempts")
    list_filter = (
        StateFilter,
        "type",
        ("received_at", DayRangeFilter),
        ("handled_at", DayRangeFilter),
    )
    search_fields = ("event_id", "object_id", "type")
    date_hierarchy = "received_at"
    fields = (
        "type",
        "event_id",
        "object_id",
        "state",
        "outcome",
        "attempts",
        "retry_at",
        "created_at",
        "received_at",
        "handled_at",
        ("account", "livemode"),
        "api_version",
        "payload",
    )
    readonly_fields = ("state",)
    actions_detail = ("handle",)

    @detail_action(
        "Handle now",
        "What the message is about is read anew from Stripe and taken in, as soon as a worker is "
        "free.",
        icon="replay",
        tone="primary",
        offered=lambda event: event.handled_at is None,
    )
    def handle(self, request: HttpRequest, event: StripeEvent, values: dict[str, Any]) -> str:
        enqueue_on_commit("billing.tasks.handle_stripe_event", event.pk)
        return f"{event.type} is queued."

    @display(description="State", ordering="handled_at")
    def state(self, event: StripeEvent) -> str:
        if event.handled_at is not None:
            return badge("handled", "success")
        return badge("to be retried", "warning") if event.attempts else badge("waiting", "info")


@register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin[StripeCustomer]):
    list_display = (
        "customer",
        "stripe_id",
        "account",
        "collection_method",
        "payment_method",
        "attention",
    )
    list_filter = ("account",)
    list_select_related = ("customer",)
    search_fields = ("stripe_id", "customer__key", "customer__name")
    ordering = ("customer__name",)
    readonly_fields = ("customer_link",)
    fields = (
        "customer_link",
        "stripe_id",
        "account",
        "attention",
        "deleted_at",
        "collection_method",
        "payment_method",
        "generation",
        "first_started_at",
        "updates",
    )
    actions_detail = ("charge_automatically", "send_invoices")
    customer_link = linked("customer")

    @detail_action(
        "Charge automatically",
        "Coming invoices are charged to the customer's default payment method at Stripe. While "
        "there is none, they are mailed. Have the customer's consent.",
        icon="credit_card",
        offered=lambda row: row.collection_method == Collection.SEND_INVOICE,
    )
    def charge_automatically(
        self, request: HttpRequest, row: StripeCustomer, values: dict[str, Any]
    ) -> str:
        set_collection(customer=row, method=Collection.CHARGE_AUTOMATICALLY)
        return "Coming invoices are charged automatically."

    @detail_action(
        "Send invoices",
        "Coming invoices are mailed by Stripe, and the customer pays them.",
        icon="mail",
        offered=lambda row: row.collection_method == Collection.CHARGE_AUTOMATICALLY,
    )
    def send_invoices(
        self, request: HttpRequest, row: StripeCustomer, values: dict[str, Any]
    ) -> str:
        set_collection(customer=row, method=Collection.SEND_INVOICE)
        return "Coming invoices are sent."
