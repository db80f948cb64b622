"""Looking at a customer's dunning again as soon as an invoice is not owed any more."""

from billing.models import DunningCase, Invoice
from config.queue import enqueue_on_commit


def look_again(invoice: Invoice) -> None:
    """Have a customer's keys work again soon, if it was flagged; the nightly run does so too.

    In a task of its own, because whoever records a payment has locked the invoice, and a customer
    is locked before its invoices.
    """
    if DunningCase.objects.running().filter(customer=invoice.customer_id).exists():
        enqueue_on_commit("billing.tasks.settle_dunning", invoice.customer_id)
