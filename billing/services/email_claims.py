"""Writing down that customers are to be told, in the transaction of what they are told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings

from billing.models import CreditNote, Email, Invoice


def claim_emails(
    *, kind: str, documents: Iterable[Invoice | CreditNote], at: datetime, occasion: str = ""
) -> list[Email]:
    """Write down that the customers of these documents are to be told, once for each.

    The caller is in the transaction of what is told. Nothing is written for kinds that are switched
    off, for customers who want no e-mails, and for those without an address.
    """
    if kind not in settings.CUSTOMER_EMAILS:
        return []
    rows = [
        row_about(document, kind, occasion, at)
        for document in documents
        if document.customer.receives_emails and document.customer.email
    ]
    return Email.objects.bulk_create(rows, ignore_conflicts=True) if rows else []


def row_about(document: Invoice | CreditNote, kind: str, occasion: str, at: datetime) -> Email:
    about: dict[str, Any] = (
        {"invoice": document} if isinstance(document, Invoice) else {"credit_note": document}
    )
    return Email(
        customer_id=document.customer_id, kind=kind, occasion=occasion, created_at=at, **about
    )
