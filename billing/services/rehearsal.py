"""What corrections and backfills would do to money, beside what they would do to usage."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from billing.selectors.effects import Picture, picture_of
from billing.services.late_usage import mark_reached
from metering.models import BackfillSession
from metering.services import rehearsal
from metering.services.rehearsal import Rehearsal, Touched


def preview_correction(*, at: datetime, **asked: Any) -> Rehearsal[Picture]:
    """Return what `correct_event` would do, given the same arguments; nothing is changed.

    Raises what the correction would raise.
    """
    look = partial(look_at, at=at)
    return rehearsal.rehearse_correction(look=look, at=at, **asked)


def preview_backfill(*, session: BackfillSession, at: datetime) -> Rehearsal[Picture]:
    """Return what committing a backfill session would do; nothing is changed."""
    return rehearsal.rehearse_session(session=session, at=at, look=partial(look_at, at=at))


def look_at(touched: Sequence[Touched], *, at: datetime) -> Picture:
    """Compare billed periods that are touched with what they are worth, as the next night will.

    The marks that this takes are undone with the rehearsed change.
    """
    for stretch in touched:
        mark_reached(customer=stretch.customer, start=stretch.start, end=stretch.end)
    return picture_of(touched, at)
