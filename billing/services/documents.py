"""What invoices and credit notes have in common when they are issued: parties and digest."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from billing.models import CreditNote, Invoice
from billing.models.credit_notes import FROZEN_COLUMNS as CREDIT_NOTE_COLUMNS
from billing.models.invoices import FROZEN_COLUMNS as INVOICE_COLUMNS
from billing.models.lines import DocumentLine
from customers.models import Customer

BUYER_FIELDS = (
    "key", "name", "email", "address_line1", "address_line2", "city", "state", "postal_code",
    "country", "time_zone", "locale", "tax_id", "tax_status",
)  # fmt: skip
LINE_CONTENT = (
    "position", "kind", "price", "meter", "description", "quantity", "amount", "period_start",
    "period_end", "document", "steps", "discount",
)  # fmt: skip
CREDIT_LINE_CONTENT = (*LINE_CONTENT, "invoice_line_id")

type Document = Invoice | CreditNote


def digest_of(document: Document, lines: Iterable[DocumentLine]) -> str:
    """Return the SHA-256 of what a document says."""
    return hashlib.sha256(content_of(document, lines).encode()).hexdigest()


def content_of(document: Document, lines: Iterable[DocumentLine]) -> str:
    """Return what a document says as JSON, in a form that never depends on the database."""
    is_note = isinstance(document, CreditNote)
    columns = CREDIT_NOTE_COLUMNS if is_note else INVOICE_COLUMNS
    line_columns = CREDIT_LINE_CONTENT if is_note else LINE_CONTENT
    content = {
        "document": {name: getattr(document, name) for name in columns if name != "digest"},
        "lines": [{name: getattr(line, name) for name in line_columns} for line in lines],
    }
    return json.dumps(content, default=plain, sort_keys=True, separators=(",", ":"))


def plain(value: object) -> str:
    """Write what JSON has no word for: instants in UTC, decimals with the places they have."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def seller_snapshot() -> dict[str, Any]:
    return {
        "name": settings.SELLER_NAME or settings.BRAND_NAME,
        "email": settings.DEFAULT_FROM_EMAIL,
        "address": settings.SELLER_ADDRESS,
        "tax_id": settings.SELLER_TAX_ID,
    }


def buyer_snapshot(customer: Customer) -> dict[str, str]:
    return {name: getattr(customer, name) for name in BUYER_FIELDS}
