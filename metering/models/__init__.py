from metering.models.events import Event, EventKey, IngestBatch, PendingBatch, RefusedEvent
from metering.models.imports import LogImport, LogImportLine
from metering.models.meters import Meter
from metering.models.rounds import FoldingRound
from metering.models.usage import UsageBucket, UsageMember

__all__ = [
    "Event",
    "EventKey",
    "FoldingRound",
    "IngestBatch",
    "LogImport",
    "LogImportLine",
    "Meter",
    "PendingBatch",
    "RefusedEvent",
    "UsageBucket",
    "UsageMember",
]
