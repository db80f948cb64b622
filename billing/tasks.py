"""Background work on billing: re-read, call one service."""

from django.utils import timezone

from billing.gateways.stripe import gateway_from_settings
from billing.models import BillingRun, Invoice, StripeEvent, StripeOperation
from billing.services import dunning, stripe_events, stripe_operations, stripe_push
from billing.services import nightly as nightly_runs
from billing.services.emails import send_due_emails
from billing.services.nightly import run_nightly
from billing.services.nightly_batches import help_run
from billing.services.pdfs import store_missing_pdfs
from billing.services.stripe_reconcile import reconcile_stripe as compare_with_stripe


def nightly() -> None:
    run_nightly(at=timezone.now())


def nightly_again(run_id: int) -> None:
    """Repeat a run as of the instant it worked as of."""
    run_nightly(at=BillingRun.objects.get(pk=run_id).at, is_asked_for=True)


def help_nightly(run_id: int) -> None:
    """Bill customers of a run that another process has begun; one that has ended needs no help."""
    if run := BillingRun.objects.filter(pk=run_id, status=BillingRun.Status.RUNNING).first():
        help_run(run=run)


def bill_thresholds() -> None:
    nightly_runs.bill_thresholds(at=timezone.now())


def store_pdfs() -> int:
    return store_missing_pdfs(at=timezone.now())


def settle_dunning(customer_id: int) -> None:
    dunning.settle_dunning(customer_ids=[customer_id], at=timezone.now())


def send_emails() -> int:
    return send_due_emails(at=timezone.now())


def push_invoice(invoice_id: int) -> str:
    return stripe_push.push_invoice(
        invoice=Invoice.objects.get(pk=invoice_id),
        gateway=gateway_from_settings(),
        at=timezone.now(),
    )


def run_stripe_operation(operation_id: int) -> str:
    return stripe_operations.run_operation(
        operation=StripeOperation.objects.get(pk=operation_id),
        gateway=gateway_from_settings(),
        at=timezone.now(),
    )


def handle_stripe_event(event_id: int) -> None:
    stripe_events.handle_stripe_event(
        event=StripeEvent.objects.get(pk=event_id),
        gateway=gateway_from_settings(),
        at=timezone.now(),
    )


def retry_stripe() -> None:
    stripe_push.retry_pushes(gateway=gateway_from_settings(), at=timezone.now())
    stripe_operations.retry_operations(gateway=gateway_from_settings(), at=timezone.now())
    stripe_events.handle_waiting_events(gateway=gateway_from_settings(), at=timezone.now())


def reconcile_stripe() -> None:
    compare_with_stripe(gateway=gateway_from_settings(), at=timezone.now())
