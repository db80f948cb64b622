"""When the aggregator last was through: what tells staff how fresh the roll-ups are."""

from __future__ import annotations

from typing import ClassVar, override

from django.db import models
from django.db.models import Q


class FoldingRound(models.Model):
    """The latest round that ended well; there is one row, whoever folds."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    began_at = models.DateTimeField(
        help_text="Whatever was accepted before is in the roll-ups by now."
    )
    events = models.PositiveBigIntegerField(help_text="How many events it folded.")

    objects: ClassVar[models.Manager[FoldingRound]] = models.Manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="metering_foldinground_one_row")
        ]

    @override
    def __str__(self) -> str:
        return f"Round of {self.began_at:%Y-%m-%d %H:%M:%S}"
