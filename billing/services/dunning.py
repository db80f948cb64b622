"""Dunning: reminders, the flag on who does not pay, suspended keys, and their way back."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.models import DunningCase, Email, Invoice
from billing.selectors.dunning import invoices_to_remind, overdue_since
from billing.services.email_claims import claim_emails
from config.bulk import copy_rows, update_rows
from customers.models import Customer
from customers.services import restore_keys, suspend_keys

CASE_FIELDS = ("overdue_since", "suspended_at", "restored_at", "closed_at")


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
def settle_dunning(*, customer_ids: Sequence[int], at: datetime) -> list[DunningCase]:
    """Flag customers, suspend their keys, or let them back in, as their unpaid invoices are at `at`.

    Returns the running cases. Doing it again changes nothing. The number of queries depends on how
    many keys are suspended or come back, and not on how many customers there are.
    """
    locked = Customer.objects.select_for_update(no_key=True).filter(pk__any=customer_ids)
    customers = list(locked.order_by("pk"))
    since = overdue_since(customer_ids, at)
    running = DunningCase.objects.running().filter(customer__any=customer_ids)
    before = {case.customer_id: case for case in running}
    settled = [
        settle(customer, since.get(customer.pk), before.get(customer.pk), at)
        for customer in customers
    ]
    cases = [case for case in settled if case is not None]
    update_rows([case for case in cases if not case._state.adding], CASE_FIELDS)
    copy_rows(cases)
    return [case for case in cases if case.closed_at is None]


def settle(
    customer: Customer, since: datetime | None, case: DunningCase | None, at: datetime
) -> DunningCase | None:
    """Bring a customer to the state it is to be in; return its case as it is to be stored, if any.

    `since` is when the oldest of its unpaid invoices was due.
    """
    since = since if customer.dunning else None
    is_flagged = is_reached(since, settings.DUNNING_FLAG_DAYS, at)
    is_suspended = is_reached(since, settings.DUNNING_SUSPEND_DAYS, at)
    if case is None:
        if since is None or not (is_flagged or is_suspended):
            return None
        case = DunningCase(customer=customer, overdue_since=since, opened_at=at)
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
    return case


def is_reached(since: datetime | None, days: int | None, at: datetime) -> bool:
    return since is not None and days is not None and since + timedelta(days=days) <= at


def least_days() -> int | None:
    """Return after how many days something may happen to a customer, nothing if never."""
    days = (settings.DUNNING_FLAG_DAYS, settings.DUNNING_SUSPEND_DAYS)
    return min((each for each in days if each is not None), default=None)
