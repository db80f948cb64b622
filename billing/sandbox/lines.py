"""The lines of an invoice."""

from typing import Any

from billing.sandbox.account import Account, listed, refuse_expansion
from billing.sandbox.invoices import find, lines_of, not_editable, recompute, shown
from billing.sandbox.params import (
    EXPAND,
    PAGE,
    Reader,
    Tree,
    boolean,
    decimal,
    hash_of,
    integer,
    list_of,
    metadata,
    read_params,
    text,
)
from billing.sandbox.refusals import RefusalError, unsaved
from billing.sandbox.store import Record, new_id

# R5: 250 lines on an invoice, 100 in a call.
MAX_LINES = 250
MAX_LINES_PER_CALL = 100

TAX = hash_of(
    {
        "amount": integer,
        "taxable_amount": integer,
        "tax_rate_data": hash_of(
            {
                "display_name": text(),
                "percentage": decimal,
                "inclusive": boolean,
                "jurisdiction": text(),
                "country": text(),
                "state": text(),
                "description": text(1500),
            },
            required=("display_name", "percentage", "inclusive"),
        ),
        "taxability_reason": text(),
    },
    required=("amount", "tax_rate_data", "taxable_amount"),
)
LINE = hash_of(
    {
        "amount": integer,
        "description": text(1500),
        "discountable": boolean,
        "metadata": metadata,
        "period": hash_of({"start": integer, "end": integer}, required=("start", "end")),
        "quantity": integer,
        "quantity_decimal": decimal,
        "tax_amounts": list_of(TAX, limit=20),
    }
)
ADDITION: dict[str, Reader] = {
    "lines": list_of(LINE, limit=MAX_LINES_PER_CALL),
    "invoice_metadata": metadata,
    "expand": EXPAND,
}


def add_lines(account: Account, tree: Tree, invoice_id: str) -> Record:
    params = read_params(tree, ADDITION, required=("lines",))
    expand = refuse_expansion(params, "payments")
    for index, line in enumerate(params["lines"]):
        refuse_line(line, f"lines[{index}]")
    invoice = find(account, invoice_id)
    if invoice["status"] != "draft":
        raise not_editable("lines")
    if len(invoice["_lines"]) + len(params["lines"]) > MAX_LINES:
        raise RefusalError(f"An invoice can have at most {MAX_LINES} items.", param="lines")
    added = [make_line(account, invoice, line) for line in params["lines"]]
    # R5: the lines of a call come before those of earlier calls.
    invoice["_lines"] = [line["id"] for line in added] + invoice["_lines"]
    invoice["metadata"] |= params.get("invoice_metadata", {})
    recompute(account, invoice)
    account.emit("invoice.updated", shown(account, invoice))
    return shown(account, invoice, expand)


def refuse_line(line: dict[str, Any], name: str) -> None:
    """R5: one source of a line's amount, and a period that ends no earlier than it starts."""
    if "amount" in line and {"quantity", "quantity_decimal"} & set(line):
        raise unsaved(
            "You may only specify one of these parameters: amount, quantity.",
            code="parameters_exclusive",
            param=f"{name}[quantity]",
        )
    if "amount" not in line:
        raise unsaved(
            f"Missing required param: {name}[amount].",
            code="parameter_missing",
            param=f"{name}[amount]",
        )
    period = line.get("period")
    if period and period["end"] < period["start"]:
        raise unsaved("The period's end must not be before its start.", param=f"{name}[period]")


def make_line(account: Account, invoice: Record, params: dict[str, Any]) -> Record:
    amount = params["amount"]
    taxes = [
        {
            "amount": tax["amount"],
            "tax_behavior": "inclusive" if tax["tax_rate_data"]["inclusive"] else "exclusive",
            "tax_rate_details": None,
            "taxability_reason": tax.get("taxability_reason", "not_available"),
            "taxable_amount": tax["taxable_amount"],
            "type": "tax_rate_details",
        }
        for tax in params.get("tax_amounts", [])
    ]
    now = invoice["created"]
    line: Record = {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": params.get("description") or None,
        "discount_amounts": [],
        "discountable": params.get("discountable", True),
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "parent": {
            "invoice_item_details": {"invoice_item": new_id("ii"), "proration": False},
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": params.get("period") or {"start": now, "end": now},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount,
        "taxes": taxes,
    }
    return account.store.put("line_item", line["id"], line)


def remove_line(account: Account, invoice: Record, line_id: str) -> None:
    """Take a line off a draft, as a person does in the Dashboard."""
    invoice["_lines"].remove(line_id)
    account.store.remove("line_item", line_id)
    recompute(account, invoice)


def list_lines(account: Account, tree: Tree, invoice_id: str) -> Record:
    params = read_params(tree, PAGE)
    refuse_expansion(params)
    lines = lines_of(account, find(account, invoice_id))
    return listed(lines, params, f"/v1/invoices/{invoice_id}/lines")
