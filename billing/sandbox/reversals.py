"""Money that goes back: refunds that a person makes, and disputes that a bank opens (R23)."""

from typing import Any

from billing.sandbox.account import Account, is_within, listed, refuse_expansion
from billing.sandbox.invoices import find, payments_of
from billing.sandbox.params import EXPAND, PAGE, Reader, Tree, bounds, read_params, text
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Record, new_id

FILTERS: dict[str, Reader] = {**PAGE, "payment_intent": text(), "created": bounds}


def refund(account: Account, invoice_id: str, amount: int = 0) -> str:
    """Refund a paid invoice, as a person does in the Dashboard; all of it if `amount` is 0."""
    payment = paid_through(account, invoice_id)
    make_refund(account, payment, amount or refundable(account, payment))
    return "Refunded."


def make_refund(account: Account, payment: Record, amount: int) -> Record:
    if not 0 < amount <= refundable(account, payment):
        raise RefusalError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge "
            f"({refundable(account, payment)}).",
            param="amount",
        )
    made = reversal(account, payment, "re", amount)
    made |= {
        "object": "refund",
        "customer": find(account, payment["invoice"])["customer"],
        "customer_account": None,
        "description": None,
        "failure_balance_transaction": None,
        "receipt_number": None,
        "reason": "requested_by_customer",
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    account.store.put("refund", made["id"], made)
    account.emit("refund.created", dict(made))
    return made


def refundable(account: Account, payment: Record) -> int:
    """Return what of a payment has not gone back yet (R22)."""
    gone = sum(
        made["amount"]
        for made in account.store.table("refund").values()
        if made["payment_intent"] == payment["payment"]["payment_intent"]
        and made["status"] != "failed"
    )
    return int(payment["amount_paid"] - gone)


def fail_refund(account: Account, refund_id: str) -> None:
    """Report that the customer's bank took a refund back, days after it was made."""
    found = account.find("refund", "refund", refund_id)
    found["status"] = "failed"
    account.store.put("refund", refund_id, found)
    account.emit("refund.failed", dict(found))


def dispute(account: Account, invoice_id: str) -> str:
    """Have the customer's bank ask for the money back."""
    payment = paid_through(account, invoice_id)
    made = reversal(account, payment, "dp", payment["amount_paid"])
    made |= {
        "object": "dispute",
        "balance_transactions": [],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {},
        "is_charge_refundable": False,
        "livemode": False,
        "reason": "fraudulent",
        "status": "needs_response",
    }
    account.store.put("dispute", made["id"], made)
    account.emit("charge.dispute.created", dict(made))
    return "Disputed."


def lose_dispute(account: Account, dispute_id: str) -> None:
    found = account.find("dispute", "dispute", dispute_id)
    found["status"] = "lost"
    account.store.put("dispute", dispute_id, found)
    account.emit("charge.dispute.closed", dict(found))


def reversal(account: Account, payment: Record, prefix: str, amount: int) -> dict[str, Any]:
    return {
        "id": new_id(prefix),
        "amount": amount,
        "balance_transaction": None,
        "charge": payment["_charge"],
        "created": account.now(),
        "currency": payment["currency"],
        "metadata": {},
        "payment_intent": payment["payment"]["payment_intent"],
    }


def paid_through(account: Account, invoice_id: str) -> Record:
    payments = payments_of(account, find(account, invoice_id)["id"])
    if not payments:
        raise RefusalError("No money was received through Stripe for this invoice.")
    return payments[0]


def retrieve_refund(account: Account, tree: Tree, refund_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return dict(account.find("refund", "refund", refund_id))


def retrieve_dispute(account: Account, tree: Tree, dispute_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return dict(account.find("dispute", "dispute", dispute_id))


def list_refunds(account: Account, tree: Tree) -> Record:
    return reversals(account, tree, "refund", "/v1/refunds")


def list_disputes(account: Account, tree: Tree) -> Record:
    return reversals(account, tree, "dispute", "/v1/disputes")


def reversals(account: Account, tree: Tree, kind: str, url: str) -> Record:
    params = read_params(tree, FILTERS)
    refuse_expansion(params)
    found = [
        dict(made)
        for made in reversed(account.store.table(kind).values())
        if made["payment_intent"] == params.get("payment_intent", made["payment_intent"])
        and is_within(made["created"], params.get("created", {}))
    ]
    return listed(found, params, url)
