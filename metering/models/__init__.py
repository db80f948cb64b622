from metering.models.archive import ArchivedMonth, ArchivedUsage
from metering.models.backfill import BackfillSession, StagedEvents
from metering.models.days import DailyTotal, UsageCheck
from metering.models.events import Event, EventKey, IngestBatch, PendingBatch, RefusedEvent
from metering.models.history import ChangedDay, Correction, PendingCorrection
from metering.models.imports import LogImport, LogImportLine, LogImportPiece
from metering.models.meters import Meter
from metering.models.rounds import FoldingRound
from metering.models.usage import UsageBucket, UsageLayout, UsageMembers

__all__ = [
    "ArchivedMonth",
    "ArchivedUsage",
    "BackfillSession",
    "ChangedDay",
    "Correction",
    "DailyTotal",
    "Event",
    "EventKey",
    "FoldingRound",
    "IngestBatch",
    "LogImport",
    "LogImportLine",
    "LogImportPiece",
    "Meter",
    "PendingBatch",
    "PendingCorrection",
    "RefusedEvent",
    "StagedEvents",
    "UsageBucket",
    "UsageCheck",
    "UsageLayout",
    "UsageMembers",
]
