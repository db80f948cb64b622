"""What Stripe was asked to do after a push, whether it is asked at all, and the comparisons."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from billing.admin import stripe_words, words
from billing.models import PaymentReversal, StripeOperation, StripeQueue, StripeReconciliation
from billing.selectors.stripe import current_halt
from billing.services.stripe_queue import try_key_again
from config.admin import (
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    badge,
    detail_action,
    display,
    link_to,
    linked,
    list_action,
    register,
)
from config.queue import enqueue_on_commit


@register(StripeOperation)
class StripeOperationAdmin(ReadOnlyAdmin[StripeOperation]):
    list_display = ("requested_at", "kind", "invoice", "status_badge", "reason", "retry_at")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("requested_at", DayRangeFilter),
    )
    list_select_related = ("invoice",)
    search_fields = ("invoice__number", "reference", "stripe_id")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "kind",
                    "invoice_link",
                    "status_badge",
                    "outcome",
                    "attention",
                    "last_error",
                    "what_happens_next",
                    "request_id",
                )
            },
        ),
        ("Asked for", {"fields": ("reference", "content", "requested_at", "stripe_id")}),
        ("Attempts", {"fields": ("attempts", "retry_at", "completed_at", "generation")}),
    )
    readonly_fields = ("invoice_link", "status_badge", "what_happens_next")
    actions_detail = ("run",)
    invoice_link = linked("invoice")

    @detail_action(
        "Try again",
        "What Stripe has is read first, and only what is left is asked for.",
        icon="replay",
        tone="primary",
        offered=lambda operation: operation.status != StripeOperation.Status.COMPLETED,
    )
    def run(self, request: HttpRequest, operation: StripeOperation, values: dict[str, Any]) -> str:
        enqueue_on_commit("billing.tasks.run_stripe_operation", operation.pk)
        return f"{operation} is queued."

    @display(description="Status", ordering="status")
    def status_badge(self, operation: StripeOperation) -> str:
        return words.operation_badge(operation)

    @display(description="Reason")
    def reason(self, operation: StripeOperation) -> str:
        return operation.attention or operation.last_error or operation.outcome or "-"

    @display(description="What happens next")
    def what_happens_next(self, operation: StripeOperation) -> str:
        return stripe_words.operation_next(operation, current_halt())


@register(StripeQueue)
class StripeQueueAdmin(ReadOnlyAdmin[StripeQueue]):
    list_display = ("account", "state", "halted_at", "reason")
    search_fields = ("account",)
    fields = ("account", "state", "reason", "request_id", "halted_at", "probe_at")
    readonly_fields = ("state",)
    actions_detail = ("try_again",)

    @detail_action(
        "Try the key again",
        "The next call finds out whether Stripe takes the secret key now. Put it right first.",
        icon="key",
        tone="primary",
        offered=lambda queue: queue.halted_at is not None,
    )
    def try_again(self, request: HttpRequest, queue: StripeQueue, values: dict[str, Any]) -> str:
        try_key_again(queue=queue, at=timezone.now())
        enqueue_on_commit("billing.tasks.retry_stripe")
        return "The key is tried with the next call."

    @display(description="State", ordering="halted_at")
    def state(self, queue: StripeQueue) -> str:
        return badge("halted", "danger") if queue.halted_at else badge("working", "success")


@register(PaymentReversal)
class PaymentReversalAdmin(ReadOnlyAdmin[PaymentReversal]):
    list_display = ("created_at", "kind", "sum", "invoice", "status", "reason")
    list_filter = (("kind", ChoicesDropdownFilter), "status", ("created_at", DayRangeFilter))
    list_select_related = ("payment__invoice",)
    search_fields = ("external_id", "payment__invoice__number")
    fields = ("kind", "sum", "invoice", "status", "reason", "external_id", "created_at")
    readonly_fields = ("sum", "invoice")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentReversal]:
        return super().get_queryset(request).select_related("payment__invoice")

    @display(description="Amount", ordering="amount")
    def sum(self, reversal: PaymentReversal) -> str:
        return words.money(reversal.amount, reversal.payment.invoice.currency)

    @display(description="Invoice")
    def invoice(self, reversal: PaymentReversal) -> str:
        return link_to(reversal.payment.invoice)


@register(StripeReconciliation)
class StripeReconciliationAdmin(ReadOnlyAdmin[StripeReconciliation]):
    list_display = (
        "at",
        "result",
        "invoices_compared",
        "statuses_repaired",
        "events_recovered",
        "difference_count",
    )
    list_filter = (("started_at", DayRangeFilter),)
    date_hierarchy = "started_at"
    fieldsets = (
        (None, {"fields": ("at", "result", "since", "started_at", "finished_at", "halted")}),
        (
            "What it did",
            {"fields": ("invoices_compared", "statuses_repaired", "events_recovered")},
        ),
        ("Differences", {"fields": ("difference_lines",)}),
    )
    readonly_fields = ("result", "difference_lines")
    actions_list = ("reconcile_now",)

    @list_action(
        "Reconcile now",
        "Our invoices are compared with Stripe's as soon as a worker is free. Statuses are brought "
        "up to date; money is never touched.",
        icon="rule",
    )
    def reconcile_now(self, request: HttpRequest, values: dict[str, Any]) -> str:
        enqueue_on_commit("billing.tasks.reconcile_stripe")
        return "The reconciliation is queued."

    @display(description="Result")
    def result(self, report: StripeReconciliation) -> str:
        if report.finished_at is None:
            return badge("running", "info")
        if report.is_clean:
            return badge("no difference", "success")
        return badge("not carried through" if report.halted else "differences", "danger")

    @display(description="Differences")
    def difference_count(self, report: StripeReconciliation) -> int:
        return len(report.differences)

    @display(description="Differences")
    def difference_lines(self, report: StripeReconciliation) -> SafeString | str:
        if not report.differences:
            return "None."
        return format_html_join(
            "",
            "<div>{}: {}</div>",
            ((each["kind"], each["message"]) for each in report.differences),
        )
