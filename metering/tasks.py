"""Background work of metering; each task may run twice without harm."""

from django.utils import timezone

from metering.models import BackfillSession, Meter
from metering.services import backfill, folding, partitions, refused, settling


def aggregate() -> None:
    folding.fold_pending(at=timezone.now())


def fill_meter(meter_id: int) -> None:
    folding.fill_meter(meter=Meter.objects.get(pk=meter_id), at=timezone.now())


def make_partitions() -> None:
    partitions.make_partitions_ahead(at=timezone.now())


def settle_days() -> None:
    settling.settle_days(at=timezone.now())


def forget_refused() -> None:
    refused.forget_refused(at=timezone.now())


def commit_backfill(session_id: int) -> None:
    session = BackfillSession.objects.get(pk=session_id)
    backfill.commit_session(session=session, at=timezone.now())


def resume_backfills() -> None:
    for session in backfill.unfinished_sessions():
        backfill.commit_session(session=session, at=timezone.now())
