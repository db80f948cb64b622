"""Verbs on meters."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from config.errors import DomainError, InvalidInputError
from config.queue import enqueue_on_commit
from config.validation import validate
from metering import aggregations, filters
from metering.models import Meter
from metering.selectors.archive import archived_ranges
from metering.selectors.meters import has_usage
from metering.selectors.usage import MOST_GROUPS
from metering.services.folding import DEFINITION


@transaction.atomic
def create_meter(*, at: datetime, **fields: Any) -> Meter:
    """Create a meter; it counts the events accepted before it too.

    Its usage is read from the events until a background task has filled its roll-ups. Raises
    InvalidInputError for the first field that is wrong, DomainError when the key is taken.
    """
    meter = Meter(created_at=at, **fields)
    check_meter(meter)
    meter.save()
    enqueue_on_commit("metering.tasks.fill_meter", meter.pk)
    return meter


@transaction.atomic
def update_meter(*, meter: Meter, at: datetime, **fields: Any) -> Meter:
    """Change a meter and return what its key means from now on.

    Name and unit are changed in place. What it counts is changed in place only while it is known
    to have counted nothing and no month is archived; otherwise the definition becomes the next version under the same key,
    and this one goes on counting for the prices that were made with it.

    Raises InvalidInputError for a wrong field or another key, and DomainError with the code
    `superseded` for a version that is not the newest.
    """
    # Whoever changes it at the same time waits, and then finds it superseded.
    meter = Meter.objects.select_for_update().get(pk=meter.pk)
    if meter.superseded_at is not None:
        message = f"This is not the newest version of the meter {meter.key!r}; change that one."
        raise DomainError(message, code="superseded")
    changed = {name for name, value in fields.items() if getattr(meter, name) != value}
    if "key" in changed:
        raise InvalidInputError("A meter's key never changes; leave it out.", field="key")
    is_redefined = not changed.isdisjoint(DEFINITION)
    if is_redefined and (meter.filled_at is None or archived_ranges() or has_usage(meter)):
        return make_next_version(meter, fields, at)
    for name, value in fields.items():
        setattr(meter, name, value)
    check_meter(meter)
    if is_redefined:
        # Events may have come in since the look for usage.
        meter.filled_at = None
        enqueue_on_commit("metering.tasks.fill_meter", meter.pk)
    meter.save()
    return meter


def make_next_version(meter: Meter, fields: dict[str, Any], at: datetime) -> Meter:
    successor = Meter(
        **{name: getattr(meter, name) for name in ("key", "name", "unit", *DEFINITION)} | fields,
        version=meter.version + 1,
        created_at=at,
    )
    # The key is free again before the successor takes it.
    Meter.objects.filter(pk=meter.pk).update(superseded_at=at)
    check_meter(successor)
    successor.save()
    enqueue_on_commit("metering.tasks.fill_meter", successor.pk)
    return successor


def check_meter(meter: Meter) -> None:
    """Raise InvalidInputError for the first thing that is wrong, DomainError for a taken key."""
    for field, sentence in definition_problems(meter):
        raise InvalidInputError(sentence, field=field)
    validate(meter)


def definition_problems(meter: Meter) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together, as pairs of the dotted path of a field and a sentence."""
    options = {name: getattr(meter, name) for name in aggregations.OPTIONS}
    yield from aggregations.problems({"aggregation": meter.aggregation, **options})
    for path, sentence in filters.problems(meter.filters):
        yield ".".join(part for part in ("filters", path) if part), sentence
    if meter.value_property and not filters.is_property(meter.value_property):
        yield "value_property", filters.PROPERTY_WANTED
    if not all(filters.is_property(name) for name in meter.group_by):
        yield "group_by", filters.PROPERTY_WANTED
    if len(meter.group_by) > MOST_GROUPS or len(set(meter.group_by)) < len(meter.group_by):
        yield "group_by", f"Group by at most {MOST_GROUPS} properties, each named once."
