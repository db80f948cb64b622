"""What every list of plan versions says of each."""

from __future__ import annotations

from billing.admin import words
from billing.models import PlanVersion
from config.admin import badge, display


class VersionColumns:
    """Columns for admin classes of versions."""

    @display(description="For")
    def state(self, version: PlanVersion) -> str:
        if version.is_draft:
            return badge("draft", "warning")
        return "everybody" if version.customer is None else str(version.customer)

    @display(description="Billed every")
    def billed_every(self, version: PlanVersion) -> str:
        return words.interval(version)
