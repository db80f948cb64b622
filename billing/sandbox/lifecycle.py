"""What an invoice becomes: open, paid, void or uncollectible."""

from billing.sandbox.account import Account, is_within, listed, refuse_expansion
from billing.sandbox.invoices import find, payments_of, shown
from billing.sandbox.limits import greatest, least, too_large, too_small
from billing.sandbox.params import (
    EXPAND,
    PAGE,
    Reader,
    Tree,
    boolean,
    bounds,
    choice,
    hash_of,
    read_params,
    text,
)
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Record, new_id, public

SECONDS_A_DAY = 86_400
DECLINED = "pm_card_chargeDeclined"
AUTHENTICATION = "pm_card_authenticationRequired"
# What a card is refused with (R8), and the event that says so.
CARD_ERRORS = {
    DECLINED: (
        "invoice.payment_failed",
        RefusalError(
            "Your card was declined.",
            status=402,
            kind="card_error",
            code="card_declined",
            decline_code="generic_decline",
        ),
    ),
    AUTHENTICATION: (
        "invoice.payment_action_required",
        RefusalError(
            "This payment requires additional user action before it can be completed.",
            status=402,
            kind="card_error",
            code="invoice_payment_intent_requires_action",
        ),
    ),
}

PAY: dict[str, Reader] = {
    "payment_method": text(may_be_empty=False),
    "paid_out_of_band": boolean,
    "off_session": boolean,
    "forgive": boolean,
    "expand": EXPAND,
}
PAYMENT_FILTERS: dict[str, Reader] = {
    **PAGE,
    "invoice": text(),
    "payment": hash_of(
        {"type": choice("payment_intent", "payment_record"), "payment_intent": text()},
        required=("type",),
    ),
    "status": choice("open", "paid", "canceled"),
    "created": bounds,
}


def finalize_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    params = read_params(tree, {"auto_advance": boolean, "expand": EXPAND})
    expand = refuse_expansion(params, "payments")
    invoice = find(account, invoice_id)
    if invoice["status"] != "draft":
        # R6: the text is the only mark, there is no code.
        raise RefusalError(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        )
    invoice["auto_advance"] = params.get("auto_advance", invoice["auto_advance"])
    finalize(account, invoice)
    return shown(account, invoice, expand)


def finalize(account: Account, invoice: Record) -> None:
    """Freeze a draft: number it, date it, apply the balance; nothing to pay is paid (R6, R16)."""
    if not invoice["_lines"]:
        raise RefusalError("Nothing to invoice for customer", code="invoice_no_customer_line_items")
    customer = account.find("customer", "customer", invoice["customer"], param="customer")
    now = account.now()
    if not invoice["number"]:
        # R17: one sequence a customer.
        sequence = customer["next_invoice_sequence"]
        invoice["number"] = f"{customer['invoice_prefix']}-{sequence:04d}"
        customer["next_invoice_sequence"] = sequence + 1
    owed = invoice["total"] + customer["balance"]
    if owed > greatest(invoice["currency"]):
        raise too_large(invoice["currency"])
    # R24: too little to collect is owed with the next invoice.
    due = owed if owed >= least(invoice["currency"]) else 0
    invoice.update(
        status="open",
        starting_balance=customer["balance"],
        ending_balance=owed - due,
        amount_due=due,
        amount_remaining=due,
        effective_at=now,
        automatically_finalizes_at=None,
    )
    customer["balance"] = owed - due
    if invoice["_days_until_due"] is not None:
        invoice["due_date"] = now + invoice["_days_until_due"] * SECONDS_A_DAY
    invoice["status_transitions"]["finalized_at"] = now
    account.store.put("customer", customer["id"], customer)
    account.store.put("invoice", invoice["id"], invoice)
    account.emit("invoice.finalized", shown(account, invoice))
    if invoice["amount_due"] == 0:
        settle(account, invoice)


def settle(account: Account, invoice: Record) -> None:
    invoice["status"] = "paid"
    invoice["amount_remaining"] = 0
    invoice["status_transitions"]["paid_at"] = account.now()
    account.store.put("invoice", invoice["id"], invoice)
    account.emit("invoice.paid", shown(account, invoice))


def finalize_due(account: Account) -> None:
    """Finalize the drafts whose hour has come (R15)."""
    for invoice in list(account.store.table("invoice").values()):
        due = invoice["automatically_finalizes_at"]
        if invoice["status"] == "draft" and due and due <= account.now() and invoice["_lines"]:
            finalize(account, invoice)


def send_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    expand = refuse_expansion(read_params(tree, {"expand": EXPAND}), "payments")
    invoice = find(account, invoice_id)
    if invoice["collection_method"] != "send_invoice":
        raise RefusalError(
            "You can only manually send an invoice if its collection method is `send_invoice`."
        )
    if invoice["status"] == "draft":
        # R7: sending a draft finalizes it.
        finalize(account, invoice)
    if invoice["status"] not in {"open", "paid"}:
        raise RefusalError(f"You can't send an invoice that is {invoice['status']}.")
    invoice["_sent"] = invoice.get("_sent", 0) + 1
    account.store.put("invoice", invoice_id, invoice)
    account.emit("invoice.sent", shown(account, invoice))
    return shown(account, invoice, expand)


def pay_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    params = read_params(tree, PAY)
    expand = refuse_expansion(params, "payments")
    invoice = find(account, invoice_id)
    if invoice["status"] == "draft":
        # R7: paying a draft finalizes it.
        finalize(account, invoice)
    refuse_unpayable(invoice)
    if params.get("paid_out_of_band"):
        settle_out_of_band(account, invoice)
        return shown(account, invoice, expand)
    customer = account.find("customer", "customer", invoice["customer"], param="customer")
    method = (
        params.get("payment_method")
        or invoice["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    if not method:
        raise RefusalError(
            "There is no default payment method set on this customer or invoice.",
            param="payment_method",
        )
    charge(account, invoice, method)
    return shown(account, invoice, expand)


def refuse_unpayable(invoice: Record) -> None:
    if invoice["status"] == "paid":
        # R8: no code comes with this one.
        raise RefusalError("Invoice is already paid")
    if invoice["status"] == "void":
        raise RefusalError("You can't pay a void invoice.")


def charge(account: Account, invoice: Record, method: str) -> None:
    """Try the card once: paid in full, or left open with a card error (R8)."""
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    account.store.put("invoice", invoice["id"], invoice)
    if method in CARD_ERRORS:
        kind, refusal = CARD_ERRORS[method]
        account.emit(kind, shown(account, invoice))
        raise refusal
    now, amount = account.now(), invoice["amount_remaining"]
    if amount < least(invoice["currency"]):
        raise too_small(invoice["currency"])
    payment: Record = {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "created": now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": new_id("pi")},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": now},
        "_charge": new_id("ch"),
    }
    account.store.put("invoice_payment", payment["id"], payment)
    invoice["amount_paid"] += amount
    account.emit("invoice_payment.paid", public(payment))
    settle(account, invoice)
    account.emit("invoice.payment_succeeded", shown(account, invoice))


def settle_out_of_band(account: Account, invoice: Record) -> None:
    invoice["amount_paid"] = invoice["amount_due"]
    invoice["amount_paid_off_stripe"] = invoice["amount_due"]
    settle(account, invoice)


def void_invoice(account: Account, tree: Tree, invoice_id: str) -> Record:
    expand = refuse_expansion(read_params(tree, {"expand": EXPAND}), "payments")
    invoice = find(account, invoice_id)
    if invoice["status"] not in {"open", "uncollectible"}:
        # R9: a draft is deleted, a paid one credited.
        raise RefusalError(
            f"You can only pass in open invoices. This invoice isn't open: {invoice['status']}.",
            param="invoice",
        )
    invoice["status"] = "void"
    invoice["amount_remaining"] = 0
    invoice["status_transitions"]["voided_at"] = account.now()
    account.store.put("invoice", invoice_id, invoice)
    account.emit("invoice.voided", shown(account, invoice))
    return shown(account, invoice, expand)


def mark_uncollectible(account: Account, tree: Tree, invoice_id: str) -> Record:
    expand = refuse_expansion(read_params(tree, {"expand": EXPAND}), "payments")
    invoice = find(account, invoice_id)
    if invoice["status"] != "open":
        # R10: only what is open can be given up.
        raise RefusalError(
            f"You can only mark open invoices uncollectible. This one is {invoice['status']}."
        )
    invoice["status"] = "uncollectible"
    invoice["status_transitions"]["marked_uncollectible_at"] = account.now()
    account.store.put("invoice", invoice_id, invoice)
    account.emit("invoice.marked_uncollectible", shown(account, invoice))
    return shown(account, invoice, expand)


def list_invoice_payments(account: Account, tree: Tree) -> Record:
    params = read_params(tree, PAYMENT_FILTERS)
    refuse_expansion(params)
    table = account.store.table("invoice_payment")
    wanted = (
        payments_of(account, params["invoice"])
        if "invoice" in params
        else list(reversed(table.values()))
    )
    intent = params.get("payment", {}).get("payment_intent")
    found = [
        public(payment)
        for payment in wanted
        if intent in {None, payment["payment"]["payment_intent"]}
        and payment["status"] == params.get("status", payment["status"])
        and is_within(payment["created"], params.get("created", {}))
    ]
    return listed(found, params, "/v1/invoice_payments")
