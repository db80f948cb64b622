"""What people do: pay, fail to pay, void, and meddle in the Dashboard."""

from billing.sandbox.account import Account
from billing.sandbox.invoices import find
from billing.sandbox.lifecycle import DECLINED, pay_invoice, void_invoice
from billing.sandbox.lines import remove_line
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import new_id


def pay(account: Account, invoice_id: str) -> str:
    refuse_draft(account, invoice_id)
    pay_invoice(account, {"payment_method": "pm_card_visa"}, invoice_id)
    return "Paid."


def decline(account: Account, invoice_id: str) -> str:
    """Try a card that is declined; the invoice stays open and the event goes out."""
    refuse_draft(account, invoice_id)
    try:
        pay_invoice(account, {"payment_method": DECLINED}, invoice_id)
    except RefusalError as refusal:
        if refusal.status != 402:
            raise
        return refusal.message
    return "Paid."


def void(account: Account, invoice_id: str) -> str:
    void_invoice(account, {}, invoice_id)
    return "Voided."


def refuse_draft(account: Account, invoice_id: str) -> None:
    if find(account, invoice_id)["status"] == "draft":
        raise RefusalError("A draft has no page to pay on.")


def take_line_off(account: Account, invoice_id: str, line_id: str) -> None:
    remove_line(account, find(account, invoice_id), line_id)


def give_discount(account: Account, customer_id: str, percent_off: int) -> None:
    """Give a customer a standing discount, as an operator may in the Dashboard (R3)."""
    customer = account.find("customer", "customer", customer_id)
    customer["discount"] = {"id": new_id("di"), "object": "discount", "percent_off": percent_off}
    account.store.put("customer", customer_id, customer)


ACTIONS = {"pay": pay, "decline": decline, "void": void}
