"""What people do: pay, fail to pay, void, and meddle in the Dashboard."""

from billing.sandbox.account import Account
from billing.sandbox.customers import change
from billing.sandbox.invoices import find, shown
from billing.sandbox.lifecycle import DECLINED, pay_invoice, void_invoice
from billing.sandbox.lines import remove_line
from billing.sandbox.refusals import RefusalError
from billing.sandbox.reversals import dispute, refund
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


def use_card(account: Account, customer_id: str, payment_method: str) -> None:
    """Make a card the one that is charged, as the customer does in the billing portal."""
    customer = account.find("customer", "customer", customer_id, param="customer")
    change(customer, {"invoice_settings": {"default_payment_method": payment_method}})
    account.store.put("customer", customer_id, customer)
    account.emit("customer.updated", dict(customer))


def fail_finalization(account: Account, invoice_id: str) -> str:
    """Report that a draft could not be finalized, as automatic tax does."""
    invoice = find(account, invoice_id)
    invoice["last_finalization_error"] = {
        "code": "customer_tax_location_invalid",
        "message": "The customer's location isn't recognized.",
        "type": "invalid_request_error",
    }
    account.store.put("invoice", invoice_id, invoice)
    account.emit("invoice.finalization_failed", shown(account, invoice))
    return "Finalization failed."


ACTIONS = {
    "pay": pay,
    "decline": decline,
    "void": void,
    "refund": refund,
    "dispute": dispute,
    "fail_finalization": fail_finalization,
}
