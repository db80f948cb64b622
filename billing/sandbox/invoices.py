"""Invoices: making, changing, listing and showing them. What they become is in lifecycle.py."""

from typing import Any

from billing.sandbox.account import Account, is_within, listed, refuse_expansion
from billing.sandbox.customers import merged
from billing.sandbox.params import (
    EXPAND,
    PAGE,
    Reader,
    Tree,
    boolean,
    bounds,
    choice,
    currency,
    hash_of,
    integer,
    list_of,
    metadata,
    read_params,
    text,
)
from billing.sandbox.refusals import RefusalError, missing, unsaved
from billing.sandbox.store import Record, new_id, public

# R15: a draft with auto_advance finalizes itself after an hour and a second.
SELF_FINALIZING_SECONDS = 3601
LINES_SHOWN = 10

CHANGEABLE: dict[str, Reader] = {
    "auto_advance": boolean,
    "collection_method": choice("send_invoice", "charge_automatically"),
    "days_until_due": integer,
    "due_date": integer,
    "default_payment_method": text(),
    "description": text(1500),
    "discounts": list_of(hash_of({"coupon": text(), "discount": text()})),
    "footer": text(5000),
    "number": text(),
    "custom_fields": list_of(
        hash_of({"name": text(40), "value": text(140)}, required=("name", "value")), limit=4
    ),
    "rendering": hash_of(
        {"amount_tax_display": choice("", "exclude_tax", "include_inclusive_tax")}
    ),
    "metadata": metadata,
    "expand": EXPAND,
}
CREATABLE: dict[str, Reader] = {
    **CHANGEABLE,
    "customer": text(may_be_empty=False),
    "currency": currency,
    "pending_invoice_items_behavior": choice("exclude", "include"),
}
# R4: what may still be changed once an invoice is finalized.
LATE = frozenset({"metadata", "auto_advance", "default_payment_method"})
FILTERS: dict[str, Reader] = {
    **PAGE,
    "customer": text(),
    "status": choice("draft", "open", "paid", "uncollectible", "void"),
    "collection_method": choice("send_invoice", "charge_automatically"),
    "created": bounds,
    "due_date": bounds,
}
STATIC_FIELDS: Record = {
    "account_country": "US",
    "account_name": "Tallyport sandbox",
    "account_tax_ids": None,
    "amount_overpaid": 0,
    "amount_paid_off_stripe": None,
    "amount_shipping": 0,
    "application": None,
    "automatic_tax": {
        "disabled_reason": None,
        "enabled": False,
        "liability": None,
        "provider": None,
        "status": None,
    },
    "billing_reason": "manual",
    "customer_account": None,
    "customer_shipping": None,
    "default_source": None,
    "from_invoice": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "next_payment_attempt": None,
    "on_behalf_of": None,
    "parent": None,
    "payment_settings": {
        "default_mandate": None,
        "payment_method_options": None,
        "payment_method_types": None,
    },
    "receipt_number": None,
    "shipping_cost": None,
    "shipping_details": None,
    "statement_descriptor": None,
    "status_details": None,
    "test_clock": None,
    "threshold_reason": None,
    "total_pretax_credit_amounts": [],
}


def create_invoice(account: Account, tree: Tree) -> Record:
    params = read_params(tree, CREATABLE, required=("customer",))
    expand = refuse_expansion(params, "payments")
    customer = account.find("customer", "customer", params.pop("customer"), param="customer")
    params.setdefault("collection_method", "charge_automatically")
    refuse_due_rules(params)
    discounts = params.pop("discounts", None)
    if discounts is None and customer["discount"]:
        # R3: not mentioned means inherited.
        discounts = [customer["discount"]]
    now = account.now()
    invoice: Record = {
        "id": new_id("in"),
        "object": "invoice",
        **STATIC_FIELDS,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatically_finalizes_at": None,
        "amount_paid": 0,
        "created": now,
        "currency": "usd",
        "custom_fields": None,
        "customer": customer["id"],
        **{f"customer_{key}": customer[key] for key in ("name", "email", "phone", "address")},
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": discounts or [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "livemode": False,
        "metadata": {},
        "number": None,
        "period_start": now,
        "period_end": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "rendering": None,
        "starting_balance": 0,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "webhooks_delivered_at": now,
        "_lines": [],
        "_days_until_due": None,
    }
    params.pop("pending_invoice_items_behavior", None)
    change(account, invoice, params)
    recompute(account, invoice)
    account.emit("invoice.created", shown(account, invoice))
    return shown(account, invoice, expand)


def refuse_due_rules(params: dict[str, Any]) -> None:
    """R2: who gets an invoice by mail needs a due date, who is charged has none."""
    dues = [key for key in ("days_until_due", "due_date") if key in params]
    if params["collection_method"] == "send_invoice":
        if len(dues) != 1:
            raise unsaved(
                "If `collection_method=send_invoice`, you must pass exactly one of `due_date` and "
                "`days_until_due`.",
                param="days_until_due",
            )
    elif dues:
        raise unsaved(
            f"You can only pass `{dues[0]}` if `collection_method` is `send_invoice`.",
            param=dues[0],
        )


def change(account: Account, invoice: Record, params: dict[str, Any]) -> None:
    invoice["metadata"] = merged(invoice["metadata"], params.pop("metadata", {}))
    if "days_until_due" in params:
        invoice["_days_until_due"] = params.pop("days_until_due")
    if "auto_advance" in params:
        is_waiting = params["auto_advance"] and invoice["status"] == "draft"
        finalizes_at = invoice["created"] + SELF_FINALIZING_SECONDS if is_waiting else None
        invoice["automatically_finalizes_at"] = finalizes_at
    invoice.update({key: None if value == "" else value for key, value in params.items()})
    account.store.put("invoice", invoice["id"], invoice)


def retrieve_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    expand = refuse_expansion(read_params(tree, {"expand": EXPAND}), "payments")
    return shown(account, find(account, invoice_id), expand)


def update_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    params = read_params(tree, CHANGEABLE)
    expand = refuse_expansion(params, "payments")
    invoice = find(account, invoice_id)
    frozen = sorted(set(params) - LATE)
    if invoice["status"] != "draft" and frozen:
        raise not_editable(frozen[0])
    if "discounts" in params:
        params["discounts"] = params["discounts"] or []
    change(account, invoice, params)
    recompute(account, invoice)
    account.emit("invoice.updated", shown(account, invoice))
    return shown(account, invoice, expand)


def not_editable(param: str) -> RefusalError:
    """R4: amounts, lines and most details freeze when an invoice is finalized."""
    return RefusalError(
        "This invoice is no longer editable: finalized invoices can't be updated.",
        code="invoice_not_editable",
        param=param,
    )


def delete_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    read_params(tree, {})
    invoice = find(account, invoice_id)
    if invoice["status"] != "draft":
        # R11: only drafts can be deleted.
        raise RefusalError("You can only delete draft invoices.", code="invoice_not_editable")
    account.emit("invoice.deleted", shown(account, invoice))
    for line_id in invoice["_lines"]:
        account.store.remove("line_item", line_id)
    account.store.remove("invoice", invoice_id)
    return {"id": invoice_id, "object": "invoice", "deleted": True}


def list_invoices(account: Account, tree: Tree) -> Record:
    params = read_params(tree, FILTERS)
    refuse_expansion(params)
    exact = {
        key: params[key] for key in ("customer", "status", "collection_method") if key in params
    }
    found = [
        shown(account, invoice)
        for invoice in reversed(account.store.table("invoice").values())
        if all(invoice[key] == value for key, value in exact.items())
        and is_within(invoice["created"], params.get("created", {}))
        and is_within(invoice["due_date"] or 0, params.get("due_date", {}))
    ]
    return listed(found, params, "/v1/invoices")


def find(account: Account, invoice_id: str) -> Record:
    invoice = account.store.get("invoice", invoice_id)
    if invoice is None:
        raise missing("invoice", invoice_id)
    return invoice


def lines_of(account: Account, invoice: Record) -> list[Record]:
    lines = account.store.table("line_item")
    return [lines[line_id] for line_id in invoice["_lines"]]


def recompute(account: Account, invoice: Record) -> None:
    """Add a draft up: lines, inherited discounts, the lines' own taxes."""
    if invoice["status"] != "draft":
        return
    lines = lines_of(account, invoice)
    subtotal = sum(line["amount"] for line in lines)
    discountable = sum(line["amount"] for line in lines if line["discountable"])
    percent = sum(discount["percent_off"] for discount in invoice["discounts"])
    discount = discountable * percent // 100
    taxes = [tax for line in lines for tax in line["taxes"] if tax["tax_behavior"] == "exclusive"]
    tax = sum(item["amount"] for item in taxes)
    total = subtotal - discount + tax
    invoice.update(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        total=total,
        total_excluding_tax=total - tax,
        total_taxes=taxes,
        total_discount_amounts=[
            {"amount": discount, "discount": item["id"]} for item in invoice["discounts"]
        ],
        amount_due=max(total, 0),
        amount_remaining=max(total, 0),
    )
    account.store.put("invoice", invoice["id"], invoice)


def shown(account: Account, invoice: Record, expand: list[str] | None = None) -> Record:
    """Return the invoice as the API shows it: no expand-only fields unless asked for (R14)."""
    url = f"/v1/invoices/{invoice['id']}/lines"
    lines = lines_of(account, invoice)
    page = {
        "object": "list",
        "data": lines[:LINES_SHOWN],
        "has_more": len(lines) > LINES_SHOWN,
        "total_count": len(lines),
        "url": url,
    }
    is_public = invoice["status"] != "draft" and invoice["number"]
    hosted = f"{account.public_url}/i/{invoice['id']}" if is_public else None
    found = public(invoice) | {
        "lines": page,
        "starting_balance": starting_balance(account, invoice),
        "hosted_invoice_url": hosted,
        "invoice_pdf": f"{hosted}/pdf" if hosted else None,
    }
    if expand and "payments" in expand:
        data = [public(payment) for payment in payments_of(account, invoice["id"])]
        found["payments"] = {"object": "list", "data": data, "has_more": False, "url": url}
    return found


def starting_balance(account: Account, invoice: Record) -> int:
    """Return what the customer has on balance as long as nothing of it is applied (R16)."""
    if invoice["status"] != "draft":
        return int(invoice["starting_balance"])
    customer = account.store.get("customer", invoice["customer"]) or {}
    return int(customer.get("balance", 0))


def payments_of(account: Account, invoice_id: str) -> list[Record]:
    return [
        payment
        for payment in reversed(account.store.table("invoice_payment").values())
        if payment["invoice"] == invoice_id
    ]
