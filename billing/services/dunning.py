"""Dunning: reminders, the flag on who does not pay, suspended keys, and their way back."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.models import DunningCase, Email, Invoice
from billing.selectors.dunning import invoices_to_remind, overdue_since
from billing.services.email_claims import claim_emails
from customers.models import Customer
from customers.services import restore_keys, suspend_keys


def remind_of_invoices(*, at: datetime) -> int:
    """Write down the reminders that are due by `at`; return how many. Doing it again adds none."""
    if not settings.DUNNING_REMINDERS or Email.Kind.REMINDER not in settings.CUSTOMER_EMAILS:
        return 0
    by_day: dict[int, list[Invoice]] = defaultdict(list)
    for day, invoice in invoices_to_remind(at, settings.DUNNING_REMINDERS):
        by_day[day].append(invoice)
    count = 0
    for day, invoices in by_day.items():
        claimed = claim_emails(
            kind=Email.Kind.REMINDER, documents=invoices, at=at, occasion=str(day)
        )
        count += len(claimed)
    return count


@transaction.atomic
def settle_dunning(*, customer_id: int, at: datetime) -> DunningCase | None:
    """Flag a customer, suspend its keys, or let it back in, as its unpaid invoices are at `at`.

    Returns the running case, if there is one. Doing it again changes nothing.
    """
    customer = Customer.objects.select_for_update(no_key=True).get(pk=customer_id)
    since = overdue_since(customer_id, at) if customer.dunning else None
    is_flagged = is_reached(since, settings.DUNNING_FLAG_DAYS, at)
    is_suspended = is_reached(since, settings.DUNNING_SUSPEND_DAYS, at)
    case = DunningCase.objects.running().filter(customer=customer).first()
    if case is None:
        if since is None or not (is_flagged or is_suspended):
            return None
        case = DunningCase.objects.create(customer=customer, overdue_since=since, opened_at=at)
    if is_suspended and customer.suspended_at is None:
        suspend_keys(customer=customer, at=at)
        case.suspended_at, case.restored_at = at, None
    if not is_suspended and customer.suspended_at is not None:
        restore_keys(customer=customer)
        case.restored_at = at
    if is_flagged or is_suspended:
        case.overdue_since = since or case.overdue_since
    else:
        case.closed_at = at
    case.save()
    return None if case.closed_at else case


def is_reached(since: datetime | None, days: int | None, at: datetime) -> bool:
    return since is not None and days is not None and since + timedelta(days=days) <= at


def least_days() -> int | None:
    """Return after how many days something may happen to a customer, nothing if never."""
    days = (settings.DUNNING_FLAG_DAYS, settings.DUNNING_SUSPEND_DAYS)
    return min((each for each in days if each is not None), default=None)
