"""Background work of metering; each task may run twice without harm."""

from django.utils import timezone

from metering.models import Meter
from metering.services import folding, partitions, refused


def aggregate() -> None:
    folding.fold_pending(at=timezone.now())


def fill_meter(meter_id: int) -> None:
    folding.fill_meter(meter=Meter.objects.get(pk=meter_id), at=timezone.now())


def make_partitions() -> None:
    partitions.make_partitions_ahead(at=timezone.now())


def forget_refused() -> None:
    refused.forget_refused(at=timezone.now())
