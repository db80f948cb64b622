"""The one door to Stripe: plain values in and out, every call braked, keyed and sorted.

Pinned to the API version of the SDK. Every POST carries a key of the caller's own; the SDK's two
retries reuse it. Too many requests are waited out here, because the SDK does not.
"""

import functools
import hashlib
import logging
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

# Said before the SDK looks: it prints advice to tools that it believes to be automated.
os.environ.setdefault("STRIPE_SUPPRESS_NOTICES", "true")

import stripe
from django.conf import settings

from billing.gateways.answers import (
    credit_note_state,
    customer_state,
    invoice_state,
    line_state,
    payment_state,
    reversal_state,
    webhook_message,
)
from billing.gateways.errors import (
    BusyError,
    CardDeclinedError,
    ConfirmationNeededError,
    CredentialsError,
    GoneError,
    KeyReusedError,
    OutcomeUnknownError,
    RefusedError,
    ServerFailureError,
    StateMovedError,
    StripeGatewayError,
)
from billing.gateways.requests import (
    credit_note_params,
    customer_params,
    invoice_params,
    lines_params,
)
from billing.gateways.shared_pace import MICROSECONDS, SharedPace
from billing.gateways.token_bucket import TokenBucket
from billing.gateways.values import (
    CreditNoteDraft,
    CreditNoteState,
    CustomerDraft,
    CustomerState,
    InvoiceDraft,
    InvoiceState,
    LineDraft,
    LineState,
    PaymentState,
    ReversalState,
    WebhookMessage,
)

logger = logging.getLogger(__name__)

API_VERSION = stripe.api_version
STRIPE_API_BASE = "https://api.stripe.com"
TIMEOUT_SECONDS = (5, 30)
NETWORK_RETRIES = 2
PAGE = 100

# Requests a second, of all processes together: well under Stripe's 100 live and 25 in test mode,
# and under the 25 of each of its endpoints.
LIVE_RATE = 10
TEST_RATE = 5
OWN_SERVER_RATE = 200
# Waits after an answer of 429, each up to twice as long by chance.
BUSY_WAITS_MS = (500, 1000, 2000, 4000)

# What Stripe's own sentence does not tell to people who look after invoices.
SLOWER = "Stripe asks for fewer requests, and has done nothing yet. It says: {}"
EXPLANATIONS: dict[type[StripeGatewayError], str] = {
    BusyError: "Stripe is still at work on the same thing, and has done nothing yet. It says: {}",
    ServerFailureError: "Stripe had a fault of its own, so whether it did what was asked is not "
    "known. It says: {}",
    KeyReusedError: "Stripe was asked for something else under the same key before, and has done "
    "nothing. That is a fault of this program: report it, with the request id. Stripe says: {}",
    RefusedError: "Stripe refuses this: {}",
}
# The bank of the customer wants to hear from them before it pays.
CONFIRMATIONS = frozenset({"authentication_required", "invoice_payment_intent_requires_action"})
# Messages without a code that say the invoice has moved on.
MOVED_ON = re.compile(r"already (been )?(finalized|paid|voided)|no longer editable", re.IGNORECASE)

# Telemetry writes an identifier to the user's home directory and sends timings.
stripe.enable_telemetry = False
# The SDK would log the address of every request.
logging.getLogger("stripe").setLevel(logging.WARNING)


class StripeGateway:
    """One account and mode. Thread-safe; keep one a process, because the brake is in it.

    `is_paced` shares the rate with the other processes, by way of the database.
    """

    def __init__(
        self,
        *,
        secret_key: str,
        environment: str,
        api_base: str = STRIPE_API_BASE,
        requests_per_second: int = 0,
        is_paced: bool = False,
        network_retries: int = NETWORK_RETRIES,
        busy_waits_ms: Sequence[int] = BUSY_WAITS_MS,
    ) -> None:
        self.environment = environment
        self.livemode = secret_key.startswith(("sk_live_", "rk_live_"))
        self.account = f"{environment}:{'live' if self.livemode else 'test'}"
        # Tells keys apart without keeping one.
        self.key_digest = hashlib.sha256(secret_key.encode()).hexdigest()
        self.busy_waits_ms = busy_waits_ms
        rate = requests_per_second or default_rate(api_base, self.livemode)
        self.bucket = TokenBucket(rate)
        interval = MICROSECONDS // rate
        self.pace = SharedPace(self.account, interval=interval) if is_paced else None
        client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base},
            max_network_retries=network_retries,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )
        self.api = client.v1

    def create_customer(self, draft: CustomerDraft, *, key: str) -> CustomerState:
        params = customer_params(draft)
        return self.call(
            lambda: customer_state(self.api.customers.create(params, {"idempotency_key": key}))
        )

    def update_customer(self, customer_id: str, draft: CustomerDraft, *, key: str) -> None:
        params: Any = customer_params(draft, is_update=True)
        self.call(lambda: self.api.customers.update(customer_id, params, {"idempotency_key": key}))

    def retrieve_customer(self, customer_id: str) -> CustomerState:
        """Return a customer, deleted ones included. Raises GoneError for another account's."""
        return self.call(lambda: customer_state(self.api.customers.retrieve(customer_id)))

    def customers_created_since(self, instant: datetime) -> list[CustomerState]:
        """Return customers made at `instant` or later; lists are strongly consistent."""
        earliest = int(instant.timestamp())
        return self.call(
            lambda: [
                customer_state(found)
                for found in self.api.customers.list(
                    {"created": {"gte": earliest}, "limit": PAGE}
                ).auto_paging_iter()
            ]
        )

    def create_invoice(self, draft: InvoiceDraft, *, key: str) -> InvoiceState:
        params = invoice_params(draft)
        return self.call(
            lambda: invoice_state(self.api.invoices.create(params, {"idempotency_key": key}))
        )

    def invoices_of(self, customer_id: str, *, since: datetime) -> list[InvoiceState]:
        """Return a customer's invoices made at `since` or later; strongly consistent."""
        earliest = int(since.timestamp())
        return self.call(
            lambda: [
                invoice_state(found)
                for found in self.api.invoices.list(
                    {"customer": customer_id, "created": {"gte": earliest}, "limit": PAGE}
                ).auto_paging_iter()
            ]
        )

    def retrieve_invoice(self, invoice_id: str) -> InvoiceState:
        return self.call(lambda: invoice_state(self.api.invoices.retrieve(invoice_id)))

    def add_lines(self, invoice_id: str, lines: Sequence[LineDraft], *, key: str) -> None:
        params = lines_params(lines)
        self.call(lambda: self.api.invoices.add_lines(invoice_id, params, {"idempotency_key": key}))

    def lines_of(self, invoice_id: str) -> list[LineState]:
        """Return every line, however many pages that takes; the order means nothing."""
        return self.call(
            lambda: [
                line_state(found)
                for found in self.api.invoices.line_items.list(
                    invoice_id, {"limit": PAGE}
                ).auto_paging_iter()
            ]
        )

    def finalize_invoice(self, invoice_id: str, *, key: str) -> None:
        """Freeze a draft. Collection stays here: Stripe neither charges nor reminds by itself."""
        self.call(
            lambda: self.api.invoices.finalize_invoice(
                invoice_id, {"auto_advance": False}, {"idempotency_key": key}
            )
        )

    def send_invoice(self, invoice_id: str, *, key: str) -> None:
        """Have Stripe mail the invoice. On a draft this would finalize it: verify first."""
        self.call(lambda: self.api.invoices.send_invoice(invoice_id, {}, {"idempotency_key": key}))

    def pay_invoice(self, invoice_id: str, *, key: str) -> None:
        """Charge the default payment method. On a draft this would finalize it: verify first.

        Raises CardDeclinedError, which is saved under the key: another attempt needs another one.
        """
        self.call(lambda: self.api.invoices.pay(invoice_id, {}, {"idempotency_key": key}))

    def mark_paid(self, invoice_id: str, *, key: str) -> None:
        """Say that the whole invoice was paid outside Stripe, which charges nothing for it."""
        self.call(
            lambda: self.api.invoices.pay(
                invoice_id, {"paid_out_of_band": True}, {"idempotency_key": key}
            )
        )

    def void_invoice(self, invoice_id: str, *, key: str) -> None:
        self.call(lambda: self.api.invoices.void_invoice(invoice_id, {}, {"idempotency_key": key}))

    def mark_uncollectible(self, invoice_id: str, *, key: str) -> None:
        self.call(
            lambda: self.api.invoices.mark_uncollectible(invoice_id, {}, {"idempotency_key": key})
        )

    def delete_draft(self, invoice_id: str) -> None:
        """Delete a draft; a second time raises GoneError."""
        self.call(lambda: self.api.invoices.delete(invoice_id))

    def invoices_created_since(self, instant: datetime) -> Iterator[InvoiceState]:
        """Yield every invoice of the account made at `instant` or later, a page at a time."""
        after: dict[str, str] = {}
        while True:
            params: Any = {"created": {"gte": int(instant.timestamp())}, "limit": PAGE, **after}
            page = self.call(lambda params=params: self.api.invoices.list(params))  # type: ignore[misc]
            yield from (invoice_state(found) for found in page.data)
            if not page.has_more or not page.data:
                return
            after = {"starting_after": page.data[-1].id}

    def payments_of(self, state: InvoiceState) -> list[PaymentState]:
        """Return the payments that succeeded, without asking when nothing was paid."""
        if not state.amount_paid:
            return []
        return self.call(
            lambda: [
                payment_state(found)
                for found in self.api.invoice_payments.list(
                    {"invoice": state.id, "status": "paid", "limit": PAGE}
                ).auto_paging_iter()
            ]
        )

    def payments_by_intent(self, payment_intent: str) -> list[PaymentState]:
        """Return the payments of invoices that a payment intent made."""
        return self.call(
            lambda: [
                payment_state(found)
                for found in self.api.invoice_payments.list(
                    {"payment": {"type": "payment_intent", "payment_intent": payment_intent}}
                ).auto_paging_iter()
            ]
        )

    def retrieve_refund(self, refund_id: str) -> ReversalState:
        return self.call(lambda: reversal_state(self.api.refunds.retrieve(refund_id)))

    def retrieve_dispute(self, dispute_id: str) -> ReversalState:
        return self.call(lambda: reversal_state(self.api.disputes.retrieve(dispute_id)))

    def preview_credit_note(self, draft: CreditNoteDraft) -> CreditNoteState:
        """Return what `draft` would come to; nothing is made."""
        params: Any = credit_note_params(draft)
        return self.call(lambda: credit_note_state(self.api.credit_notes.preview(params)))

    def create_credit_note(self, draft: CreditNoteDraft, *, key: str) -> CreditNoteState:
        params = credit_note_params(draft)
        return self.call(
            lambda: credit_note_state(
                self.api.credit_notes.create(params, {"idempotency_key": key})
            )
        )

    def credit_notes_of(self, invoice_id: str) -> list[CreditNoteState]:
        return self.call(
            lambda: [
                credit_note_state(found)
                for found in self.api.credit_notes.list(
                    {"invoice": invoice_id, "limit": PAGE}
                ).auto_paging_iter()
            ]
        )

    def portal_url(self, customer_id: str, *, return_url: str, key: str) -> str:
        """Open a session of Stripe's billing portal; its address is short-lived and a secret."""
        return self.call(
            lambda: (
                self.api.billing_portal.sessions.create(
                    {"customer": customer_id, "return_url": return_url}, {"idempotency_key": key}
                ).url
            )
        )

    def missed_events(self, types: Sequence[str], *, since: datetime) -> list[WebhookMessage]:
        """Return events of these types that no endpoint took in; Stripe keeps them for 30 days."""
        earliest = int(since.timestamp())
        return self.call(
            lambda: [
                webhook_message(found.to_dict(for_json=True))
                for found in self.api.events.list(
                    {"delivery_success": False, "created": {"gte": earliest}, "limit": PAGE}
                ).auto_paging_iter()
                if found.type in types
            ]
        )

    def call[T](self, request: Callable[[], T]) -> T:
        """Make a call when the brake allows it, waiting out answers of 429.

        Raises one of the errors of billing.gateways.errors, and nothing of the SDK's.
        """
        for wait in (*self.busy_waits_ms, None):
            self.bucket.take()
            if self.pace is not None:
                self.pace.take()
            try:
                return request()
            except stripe.StripeError as error:
                found = sorted_error(error)
                if wait is None or error.http_status != 429:
                    raise found from error
                self.bucket.slow_down()
                self.bucket.block(random.randint(wait, 2 * wait))  # noqa: S311
        raise AssertionError("unreachable")


def gateway_from_settings() -> StripeGateway | None:
    """Return this process's gateway, or None when no STRIPE_SECRET_KEY is set."""
    if not settings.STRIPE_SECRET_KEY:
        return None
    return shared_gateway(
        settings.STRIPE_SECRET_KEY,
        settings.STRIPE_ENVIRONMENT,
        settings.STRIPE_API_BASE,
        settings.STRIPE_REQUESTS_PER_SECOND,
    )


@functools.cache
def shared_gateway(
    secret_key: str, environment: str, api_base: str, requests_per_second: int
) -> StripeGateway:
    return StripeGateway(
        secret_key=secret_key,
        environment=environment,
        api_base=api_base,
        requests_per_second=requests_per_second,
        is_paced=True,
    )


def default_rate(api_base: str, livemode: bool) -> int:
    if api_base != STRIPE_API_BASE:
        return OWN_SERVER_RATE
    return LIVE_RATE if livemode else TEST_RATE


def sorted_error(error: stripe.StripeError) -> StripeGatewayError:
    """Return our error for the SDK's, by what has to be done about it."""
    kind = error_kind(error)
    message = unknown_outcome(error) if kind is OutcomeUnknownError else said_by_stripe(error)
    code = str(getattr(error.error, "code", "") or "") if error.error else ""
    if kind is CardDeclinedError and code in CONFIRMATIONS:
        kind = ConfirmationNeededError
    words = SLOWER if error.http_status == 429 else EXPLANATIONS.get(kind, "{}")
    return kind(words.format(message), code=code, request_id=error.request_id or "")


def said_by_stripe(error: stripe.StripeError) -> str:
    return error.user_message or str(error) or "Stripe gave no reason."


def unknown_outcome(error: stripe.StripeError) -> str:
    """Return what is known in words: the SDK's own are those of the network's libraries."""
    logger.warning("No readable answer from Stripe: %s", error)
    if error.http_status is None:
        return "Stripe did not answer, so whether it did what was asked is not known."
    return (
        f"Stripe's answer (HTTP {error.http_status}) could not be read, so whether it did what "
        "was asked is not known."
    )


def error_kind(error: stripe.StripeError) -> type[StripeGatewayError]:
    status = error.http_status
    if error.error is None or status is None or status < 400:
        # No connection, no time, half an answer, or a proxy's page in place of one.
        return OutcomeUnknownError
    if status >= 500:
        return ServerFailureError
    if isinstance(error, stripe.IdempotencyError) and status == 400:
        return KeyReusedError
    by_status: dict[int, type[StripeGatewayError]] = {
        401: CredentialsError,
        402: CardDeclinedError,
        403: CredentialsError,
        404: GoneError,
        409: BusyError,
        429: BusyError,
    }
    if status in by_status:
        return by_status[status]
    code = getattr(error.error, "code", None)
    if code == "resource_missing":
        return GoneError
    if code == "invoice_not_editable" or MOVED_ON.search(error.user_message or ""):
        return StateMovedError
    return RefusedError
