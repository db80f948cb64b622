"""What waits for a person, or for its time: what staff watch."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from billing.models import Invoice, StripeEvent, StripeOperation, StripePush
from billing.selectors.stripe import current_halt, last_comparison, last_reconciliation


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """Drafts by what they wait for: the end of their grace, or a nightly run that issues them."""

    in_grace: int
    due: int


def draft_counts(at: datetime) -> DraftCounts:
    counts = Invoice.objects.filter(status=Invoice.Status.DRAFT).aggregate(
        in_grace=Count("pk", filter=Q(finalize_at__gt=at)),
        due=Count("pk", filter=Q(finalize_at__lte=at)),
    )
    return DraftCounts(**counts)


def pushes_needing_attention() -> QuerySet[StripePush]:
    """Return pushes that a person has to look into; a finished one may have such a note too."""
    return StripePush.objects.filter(Q(status=StripePush.Status.ATTENTION) | ~Q(attention=""))


@dataclass(frozen=True, slots=True)
class StripeCounts:
    """Invoices on their way to Stripe, and news from there that could not be taken in yet."""

    attention: int
    under_way: int
    unhandled_events: int
    operations: int
    halted: str
    differences: int
    not_compared: str


def stripe_counts() -> StripeCounts:
    halt, last = current_halt(), last_reconciliation()
    # One that was not carried through says nothing of what the one before it found.
    compared = last_comparison() if last is not None and last.halted else last
    return StripeCounts(
        attention=pushes_needing_attention().count(),
        under_way=StripePush.objects.filter(status=StripePush.Status.PENDING).count(),
        unhandled_events=StripeEvent.objects.filter(handled_at=None, attempts__gt=0).count(),
        operations=StripeOperation.objects.filter(status=StripeOperation.Status.ATTENTION).count(),
        halted="" if halt is None else halt.reason,
        differences=0 if compared is None else len(compared.differences),
        not_compared="" if last is None else last.halted,
    )
