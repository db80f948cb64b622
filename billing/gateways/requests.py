"""What is asked of Stripe: our plain values as the parameters of its API."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from billing.gateways.minor_units import to_minor
from billing.gateways.values import (
    CreditNoteDraft,
    CustomerDraft,
    InvoiceDraft,
    LineDraft,
    TaxDraft,
)

if TYPE_CHECKING:
    from stripe.params import (
        CreditNoteCreateParams,
        CustomerCreateParams,
        InvoiceAddLinesParams,
        InvoiceAddLinesParamsLine,
        InvoiceCreateParams,
    )

NAME_LENGTH = 256
DESCRIPTION_LENGTH = 500
FOOTER_LENGTH = 5000
TAX_NAME_LENGTH = 50


def payload_digest(
    draft: CustomerDraft | InvoiceDraft | CreditNoteDraft | Sequence[LineDraft],
) -> str:
    """Return a digest of the request that `draft` becomes, to prove it is still the same one."""
    params: Any
    match draft:
        case CustomerDraft():
            params = customer_params(draft)
        case InvoiceDraft():
            params = invoice_params(draft)
        case CreditNoteDraft():
            params = credit_note_params(draft)
        case _:
            params = lines_params(draft)
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def customer_params(draft: CustomerDraft, *, is_update: bool = False) -> "CustomerCreateParams":
    """Return the request; an update says an empty text too, which clears the field."""
    address = {key: clean(value, NAME_LENGTH) for key, value in draft.address.items()}
    given: dict[str, Any] = {
        "name": clean(draft.name, NAME_LENGTH),
        "email": clean(draft.email, 512),
        "address": address if any(address.values()) else "",
    }
    params: Any = {key: value for key, value in given.items() if value or is_update}
    if re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", draft.locale):
        params["preferred_locales"] = [draft.locale]
    params["tax_exempt"] = draft.tax_exempt
    params["metadata"] = draft.metadata
    found: CustomerCreateParams = params
    return found


def invoice_params(draft: InvoiceDraft) -> "InvoiceCreateParams":
    params: InvoiceCreateParams = {
        "customer": draft.customer_id,
        "currency": draft.currency.lower(),
        # Nothing happens to the draft by itself before it has been read back.
        "auto_advance": False,
        "collection_method": "charge_automatically",
        "pending_invoice_items_behavior": "exclude",
        # Left out, a discount of the customer's would be inherited.
        "discounts": "",
        "number": draft.number,
        "metadata": draft.metadata,
    }
    if draft.custom_fields:
        params["custom_fields"] = [
            {"name": clean(name, 40), "value": clean(value, 140)}
            for name, value in draft.custom_fields
        ]
    if draft.footer:
        params["footer"] = clean(draft.footer, FOOTER_LENGTH)
    if draft.days_until_due is not None:
        params["collection_method"] = "send_invoice"
        params["days_until_due"] = draft.days_until_due
    return params


def lines_params(lines: Sequence[LineDraft]) -> "InvoiceAddLinesParams":
    return {"lines": [line_params(line) for line in lines]}


def line_params(line: LineDraft) -> "InvoiceAddLinesParamsLine":
    start = int(line.period_start.timestamp())
    # Stripe's periods include their last second.
    end = max(start, int(line.period_end.timestamp()) - 1)
    params: InvoiceAddLinesParamsLine = {
        "amount": to_minor(line.amount, line.currency),
        "description": clean(line.description, DESCRIPTION_LENGTH),
        "discountable": False,
        "metadata": {"line": line.reference},
        "period": {"start": start, "end": end},
    }
    if line.taxes:
        params["tax_amounts"] = [tax_params(tax, line.currency) for tax in line.taxes]
    return params


def tax_params(tax: TaxDraft, currency: str) -> Any:
    return {
        "amount": to_minor(tax.amount, currency),
        "taxable_amount": to_minor(tax.taxable_amount, currency),
        "tax_rate_data": {
            "display_name": clean(tax.name, TAX_NAME_LENGTH),
            # As text: a Decimal could go out as 1E-7, and binary fractions are not exact.
            "percentage": format(tax.percent, "f"),
            "inclusive": False,
        },
    }


def credit_note_params(draft: CreditNoteDraft) -> "CreditNoteCreateParams":
    params: CreditNoteCreateParams = {
        "invoice": draft.invoice_id,
        "lines": [
            {
                "type": "custom_line_item",
                "description": clean(description, DESCRIPTION_LENGTH),
                "quantity": 1,
                "unit_amount": to_minor(amount, draft.currency),
            }
            for description, amount in draft.lines
        ],
        "memo": clean(draft.memo, FOOTER_LENGTH),
        "email_type": "none",
        "metadata": draft.metadata,
    }
    if draft.is_paid:
        parts = {
            "refund_amount": draft.refund,
            "credit_amount": draft.balance,
            "out_of_band_amount": draft.out_of_band,
        }
        settled: Any = {
            name: to_minor(part, draft.currency) for name, part in parts.items() if part
        }
        params |= settled
    return params


def clean(text: str, limit: int) -> str:
    """Return `text` without control characters and no longer than Stripe allows."""
    spaced = "".join(" " if unicodedata.category(char) == "Cc" else char for char in text).strip()
    return spaced if len(spaced) <= limit else spaced[: limit - 1] + "…"
