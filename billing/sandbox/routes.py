"""Every operation the server knows, by verb and path."""

import re
from collections.abc import Callable

from billing.sandbox import (
    credit_notes,
    customers,
    events,
    invoices,
    lifecycle,
    lines,
    reversals,
)
from billing.sandbox.account import ACCOUNT_ID, Account
from billing.sandbox.params import EXPAND, Tree, read_params
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Record

type Handler = Callable[..., Record]


def retrieve_account(account: Account, tree: Tree) -> Record:
    read_params(tree, {"expand": EXPAND})
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "country": "US",
        "default_currency": "usd",
        "email": None,
        "metadata": {},
        "type": "standard",
    }


ROUTES: dict[str, Handler] = {
    "GET /v1/account": retrieve_account,
    "POST /v1/customers": customers.create_customer,
    "GET /v1/customers": customers.list_customers,
    "GET /v1/customers/{id}": customers.retrieve_customer,
    "POST /v1/customers/{id}": customers.update_customer,
    "DELETE /v1/customers/{id}": customers.delete_customer,
    "POST /v1/billing_portal/sessions": customers.create_portal_session,
    "POST /v1/invoices": invoices.create_invoice,
    "GET /v1/invoices": invoices.list_invoices,
    "GET /v1/invoices/{id}": invoices.retrieve_invoice,
    "POST /v1/invoices/{id}": invoices.update_invoice,
    "DELETE /v1/invoices/{id}": invoices.delete_invoice,
    "GET /v1/invoices/{id}/lines": lines.list_lines,
    "POST /v1/invoices/{id}/add_lines": lines.add_lines,
    "POST /v1/invoices/{id}/finalize": lifecycle.finalize_invoice,
    "POST /v1/invoices/{id}/send": lifecycle.send_invoice,
    "POST /v1/invoices/{id}/pay": lifecycle.pay_invoice,
    "POST /v1/invoices/{id}/void": lifecycle.void_invoice,
    "POST /v1/invoices/{id}/mark_uncollectible": lifecycle.mark_uncollectible,
    "POST /v1/credit_notes": credit_notes.create_credit_note,
    "GET /v1/credit_notes": credit_notes.list_credit_notes,
    "GET /v1/credit_notes/preview": credit_notes.preview_credit_note,
    "GET /v1/credit_notes/{id}": credit_notes.retrieve_credit_note,
    "GET /v1/refunds": reversals.list_refunds,
    "GET /v1/refunds/{id}": reversals.retrieve_refund,
    "GET /v1/disputes": reversals.list_disputes,
    "GET /v1/disputes/{id}": reversals.retrieve_dispute,
    "GET /v1/invoice_payments": lifecycle.list_invoice_payments,
    "GET /v1/events": events.list_events,
    "GET /v1/events/{id}": events.retrieve_event,
    "POST /v1/webhook_endpoints": events.create_endpoint,
    "GET /v1/webhook_endpoints": events.list_endpoints,
    "GET /v1/webhook_endpoints/{id}": events.retrieve_endpoint,
    "DELETE /v1/webhook_endpoints/{id}": events.delete_endpoint,
}
PATTERNS = [
    (template, re.compile(template.replace("{id}", r"([^/]+)")), handler)
    for template, handler in ROUTES.items()
]


def match(method: str, path: str) -> tuple[str, Handler, tuple[str, ...]]:
    """Return the operation, its handler and the ids in its path; refuse an unknown one."""
    for template, pattern, handler in PATTERNS:
        if found := pattern.fullmatch(f"{method} {path}"):
            return template, handler, found.groups()
    raise RefusalError(f"Unrecognized request URL ({method}: {path}).", status=404, is_saved=False)
