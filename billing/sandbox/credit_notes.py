"""Credit notes: what is taken back of a finalized invoice (R22)."""

from typing import Any

from billing.sandbox.account import Account, is_within, listed, refuse_expansion
from billing.sandbox.invoices import find, payments_of, shown
from billing.sandbox.lifecycle import settle
from billing.sandbox.params import (
    EXPAND,
    PAGE,
    Reader,
    Tree,
    bounds,
    choice,
    hash_of,
    integer,
    list_of,
    metadata,
    read_params,
    text,
)
from billing.sandbox.refusals import RefusalError, unsaved
from billing.sandbox.reversals import make_refund, refundable
from billing.sandbox.store import Record, new_id, public

LINE = hash_of(
    {
        "type": choice("custom_line_item", "invoice_line_item"),
        "amount": integer,
        "description": text(),
        "invoice_line_item": text(),
        "quantity": integer,
        "unit_amount": integer,
        "metadata": metadata,
    },
    required=("type",),
)
CREATABLE: dict[str, Reader] = {
    "invoice": text(may_be_empty=False),
    "lines": list_of(LINE),
    "memo": text(),
    "reason": choice("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
    "refund_amount": integer,
    "credit_amount": integer,
    "out_of_band_amount": integer,
    "email_type": choice("credit_note", "none"),
    "metadata": metadata,
    "expand": EXPAND,
}
FILTERS: dict[str, Reader] = {**PAGE, "invoice": text(), "customer": text(), "created": bounds}
PAID_PARTS = ("refund_amount", "credit_amount", "out_of_band_amount")


def create_credit_note(account: Account, tree: Tree) -> Record:
    note = draft_of(account, tree)
    invoice = find(account, note["invoice"])
    give_back(account, invoice, note)
    account.store.put("credit_note", note["id"], note)
    invoice["pre_payment_credit_notes_amount"] += note["pre_payment_amount"]
    invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
    invoice["amount_due"] -= note["pre_payment_amount"]
    invoice["amount_remaining"] -= note["pre_payment_amount"]
    account.store.put("invoice", invoice["id"], invoice)
    account.emit("credit_note.created", public(note))
    if invoice["status"] == "open" and not invoice["amount_remaining"]:
        settle(account, invoice)
    else:
        account.emit("invoice.updated", shown(account, invoice))
    return public(note)


def give_back(account: Account, invoice: Record, note: Record) -> None:
    """Refund what the note says is refunded, and put on the balance what it says is credited."""
    left = note["_refund"]
    for payment in payments_of(account, invoice["id"]) if left else []:
        if part := min(left, refundable(account, payment)):
            made = make_refund(account, payment, part)
            note["refunds"].append(
                {
                    "amount_refunded": part,
                    "payment_record_refund": None,
                    "refund": made["id"],
                    "type": "refund",
                }
            )
            left -= part
    if note["_credit"]:
        customer = account.find("customer", "customer", invoice["customer"], param="customer")
        customer["balance"] -= note["_credit"]
        account.store.put("customer", customer["id"], customer)
        note["customer_balance_transaction"] = new_id("cbtxn")


def preview_credit_note(account: Account, tree: Tree) -> Record:
    return public(draft_of(account, tree))


def draft_of(account: Account, tree: Tree) -> Record:
    """Return the credit note that these parameters make, or refuse them."""
    params = read_params(tree, CREATABLE, required=("invoice",))
    refuse_expansion(params)
    invoice = account.find("invoice", "invoice", params["invoice"], param="invoice")
    if invoice["status"] not in {"open", "paid"}:
        raise RefusalError(
            "You can only create a credit note for an invoice that is open or paid.",
            param="invoice",
        )
    total = sum(amount_of(line) for line in params.get("lines", []))
    if total <= 0:
        raise unsaved("A credit note's total must be positive.", param="lines")
    is_paid = invoice["status"] == "paid"
    refuse_excess(account, invoice, total, is_paid=is_paid)
    refuse_parts(account, invoice, params, total)
    return record(account, invoice, params, total, is_paid=is_paid)


def amount_of(line: dict[str, Any]) -> int:
    if line["type"] == "invoice_line_item":
        return int(line.get("amount", 0))
    return int(line.get("quantity", 1)) * int(line.get("unit_amount", 0))


def refuse_excess(account: Account, invoice: Record, total: int, *, is_paid: bool) -> None:
    left = invoice["amount_remaining"]
    if is_paid:
        # What the customer's balance paid counts as paid too.
        paid = invoice["total"] - invoice["pre_payment_credit_notes_amount"]
        left = paid - invoice["post_payment_credit_notes_amount"]
    if total > left:
        raise RefusalError(
            f"The sum of credit amount, refund amount and out of band amount ({total}) must be "
            f"less than or equal to the amount that is left of the invoice ({left}).",
            param="lines",
        )


def refuse_parts(account: Account, invoice: Record, params: dict[str, Any], total: int) -> None:
    parts = [params.get(name, 0) for name in PAID_PARTS]
    left = sum(refundable(account, payment) for payment in payments_of(account, invoice["id"]))
    if parts[0] > left:
        raise RefusalError(
            f"The refund amount ({parts[0]}) is more than can be refunded ({left}).",
            param="refund_amount",
        )
    if min(parts) < 0 or sum(parts) != (total if invoice["status"] == "paid" else 0):
        raise RefusalError(
            "The sum of refund_amount, credit_amount and out_of_band_amount must equal the part "
            "of the credit note that was paid.",
            param="out_of_band_amount",
        )


def record(
    account: Account, invoice: Record, params: dict[str, Any], total: int, *, is_paid: bool
) -> Record:
    count = len(notes_of(account, invoice["id"])) + 1
    note_id = new_id("cn")
    lines = [
        {
            "id": new_id("cnli"),
            "object": "credit_note_line_item",
            "amount": amount_of(line),
            "description": line.get("description"),
            "livemode": False,
            "metadata": line.get("metadata", {}),
            "quantity": line.get("quantity"),
            "type": line["type"],
            "unit_amount": line.get("unit_amount"),
        }
        for line in params.get("lines", [])
    ]
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": account.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": account.now(),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": False,
        "memo": params.get("memo"),
        "metadata": params.get("metadata", {}),
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"{account.public_url}/i/{invoice['id']}/pdf",
        "post_payment_amount": total if is_paid else 0,
        "pre_payment_amount": 0 if is_paid else total,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
        "total_taxes": [],
        "type": "post_payment" if is_paid else "pre_payment",
        "voided_at": None,
        "_refund": params.get("refund_amount", 0),
        "_credit": params.get("credit_amount", 0),
    }


def list_credit_notes(account: Account, tree: Tree) -> Record:
    params = read_params(tree, FILTERS)
    refuse_expansion(params)
    found = [
        public(note)
        for note in reversed(account.store.table("credit_note").values())
        if note["invoice"] == params.get("invoice", note["invoice"])
        and note["customer"] == params.get("customer", note["customer"])
        and is_within(note["created"], params.get("created", {}))
    ]
    return listed(found, params, "/v1/credit_notes")


def retrieve_credit_note(account: Account, tree: Tree, note_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return public(account.find("credit_note", "credit note", note_id))


def notes_of(account: Account, invoice_id: str) -> list[Record]:
    return [
        note
        for note in account.store.table("credit_note").values()
        if note["invoice"] == invoice_id
    ]
