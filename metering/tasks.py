"""Background work of metering; each task may run twice without harm."""

from django.utils import timezone

from metering.services import partitions


def make_partitions() -> None:
    partitions.make_partitions_ahead(at=timezone.now())
