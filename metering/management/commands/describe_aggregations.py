"""`manage.py describe_aggregations`: the reference of the aggregations, in Markdown."""

from typing import Any, override

from django.core.management.base import BaseCommand

from metering.aggregations import OPTIONS, REGISTRY, Aggregation, one_of, windowable

HEAD = """\
# Aggregations

How a meter turns events into usage. A question about usage is always about a period
`[start, end)`: an event at `start` counts, one at `end` does not. The answer is exact for any two
instants and at any moment, also for events that came in a moment ago, late or out of order.

- **Which events.** Those of the meter's `event_type` whose properties pass all of its `filters`.
- **Values.** `value_property` names the property that is read. Numbers are decimals: JSON numbers,
  or texts of digits, at most one point, perhaps a sign and an exponent of one or two digits
  (`"12.50"`, `"-3"`, `"1.5e-7"`), 64 characters at most. An event whose value is missing or no
  number is kept, left out of the aggregate and counted as unparsed. Texts are told apart exactly as
  they are written; the number `1` and the text `"1"` are the same.
- **Nothing used.** A period without anything to aggregate has the value 0.
- **Windows of a question** (`window=hour|day|week|month`) begin at midnight of the time zone that
  is asked for, weeks on Monday. A day lasts 23 or 25 hours when the clock changes. Hours, and the
  minutes and hours of a peak, are counted from the midnight of their day. The first and the last
  window are cut short by the period.
- **Groups** (`group_by`) tell events apart by the text of properties; an event without the property
  is in the group `null`. Without groups every window has a row, with the value 0 where nothing was
  used; with groups only what was used has one.

The operators of filters are `eq`, `ne`, `in`, `exists`, `lt`, `lte`, `gt` and `gte`. The first three
compare texts (`ne` also holds for an event without the property), the last four compare numbers
(never for a property that is none), and `exists` takes `true` or `false`.
"""


class Command(BaseCommand):
    help = "Write docs/aggregations.md, the reference of the aggregations, to standard output."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        sections = [HEAD, *(section(aggregation) for aggregation in REGISTRY.values())]
        self.stdout.write("\n".join(sections), ending="")


def section(aggregation: type[Aggregation]) -> str:
    lines = [f"## {aggregation.label} (`{aggregation.key}`)", "", aggregation.definition, ""]
    words = {name: f"`{name}`" for name in OPTIONS if name in aggregation.needs}
    if aggregation.windowed:
        words["window"] += f" ({one_of(aggregation.windows)})"
        words["of"] += f" ({one_of(tuple(windowable()))}, with what that one needs)"
    needs = ", ".join(words.values())
    lines.append(f"Needs: {needs or 'nothing more'}.")
    return "\n".join([*lines, ""])
