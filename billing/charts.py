"""Charts as plain geometry, which templates of the portal and the admin draw as SVG.

Nothing here knows HTML, colours or rows. Coordinates are decimals in a box as wide as its columns
and `HEIGHT` high, which the page stretches to the space there is; text stays outside the box, so
that it keeps its size on a phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

HEIGHT = Decimal(100)
SLOT = Decimal(10)
BAR_WIDTH = Decimal(8)
# A chart of fewer columns is as wide as one of these, or its bars would be slabs.
FEWEST_SLOTS = 12
ROUND_NUMBERS = tuple(Decimal(number) for number in (1, 2, 3, 4, 5, 6, 8, 10))
# So many labels have room side by side on a phone.
MOST_LABELS = 6
TALLY_GROUP = 5
TALLY_GROUP_WIDTH = 36
TALLY_HEIGHT = 20
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Column:
    """One bar to draw: what it is called, its stacked values, and the text people read.

    `values` are in the order of the series, the first at the bottom.
    """

    label: str
    values: Sequence[Decimal]
    title: str
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of one series."""

    series: int
    y: Decimal
    height: Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """A drawn column: its blocks, and the slot that answers to the pointer."""

    slot_x: Decimal
    x: Decimal
    blocks: tuple[Block, ...]
    title: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class BarChart:
    """A drawn chart. `ticks` are the values at its top, middle and bottom line."""

    bars: tuple[Bar, ...]
    ticks: tuple[Decimal, Decimal, Decimal]
    x_labels: tuple[str, ...]
    slot_width: Decimal
    width: Decimal
    height: Decimal = HEIGHT
    bar_width: Decimal = BAR_WIDTH

    @property
    def is_fully_labelled(self) -> bool:
        return len(self.x_labels) == len(self.bars)


@dataclass(frozen=True, slots=True)
class Mark:
    """One stroke of a tally."""

    x1: int
    y1: int
    x2: int
    y2: int
    is_done: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """Strokes in groups of five, in a box `TALLY_HEIGHT` high."""

    marks: tuple[Mark, ...]
    width: int
    height: int = TALLY_HEIGHT


def bar_chart(columns: Sequence[Column]) -> BarChart:
    """Lay out columns from left to right on an axis that ends at a round number.

    Values of a column are stacked when none is negative. A chart with a negative value has its
    zero line in the middle, and each column shows the sum of its values.
    """
    has_negative = any(value < 0 for column in columns for value in column.values)
    top = axis_top(max((abs(sum(c.values, ZERO)) for c in columns), default=ZERO))
    bottom = -top if has_negative else ZERO
    slot_width = coordinate(SLOT * FEWEST_SLOTS / min(max(len(columns), 1), FEWEST_SLOTS))
    bars = tuple(
        Bar(
            slot_x=slot_width * index,
            x=slot_width * index + (slot_width - BAR_WIDTH) / 2,
            blocks=blocks_of(column, top, bottom),
            title=column.title,
            is_current=column.is_current,
        )
        for index, column in enumerate(columns)
    )
    return BarChart(
        bars=bars,
        ticks=(top, (top + bottom) / 2, bottom),
        x_labels=spread_labels([column.label for column in columns]),
        slot_width=slot_width,
        width=slot_width * max(len(columns), 1),
    )


@dataclass(frozen=True, slots=True)
class LineChart:
    """Drawn lines: the corners of each as SVG writes them, from left to right."""

    lines: tuple[str, ...]
    ticks: tuple[Decimal, Decimal, Decimal]
    x_labels: tuple[str, ...]
    width: Decimal
    height: Decimal = HEIGHT


def line_chart(series: Sequence[Sequence[Decimal]], labels: Sequence[str]) -> LineChart:
    """Lay out lines over one axis that ends at a round number; no value is negative.

    Every line has a value for each label, spread evenly.
    """
    top = axis_top(max((value for values in series for value in values), default=ZERO))
    return LineChart(
        lines=tuple(
            " ".join(
                f"{SLOT * index},{coordinate(HEIGHT - value * HEIGHT / top)}"
                for index, value in enumerate(values)
            )
            for values in series
        ),
        ticks=(top, top / 2, ZERO),
        x_labels=spread_labels(labels),
        width=SLOT * max(len(labels) - 1, 1),
    )


def blocks_of(column: Column, top: Decimal, bottom: Decimal) -> tuple[Block, ...]:
    """Return a column's rectangles on an axis from `bottom` to `top`; zeros have none."""
    scale = HEIGHT / (top - bottom)
    values = column.values if bottom == 0 else [sum(column.values, ZERO)]
    blocks: list[Block] = []
    level = ZERO
    for series, value in enumerate(values):
        upper = max(level, level + value)
        if value:
            y, height = (top - upper) * scale, abs(value) * scale
            blocks.append(Block(series, coordinate(y), coordinate(height)))
        level += value
    return tuple(blocks)


def axis_top(greatest: Decimal) -> Decimal:
    """Return the least round number, a digit and zeros, that is not below `greatest`.

    Its half is short to write as well: it labels the line in the middle.
    """
    if greatest <= 0:
        return Decimal(1)
    power = Decimal(10) ** greatest.adjusted()
    return next(step * power for step in ROUND_NUMBERS if step * power >= greatest)


def spread_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels there is room for: all of a few, else the first, middle and last."""
    if len(labels) <= MOST_LABELS:
        return tuple(labels)
    return labels[0], labels[len(labels) // 2], labels[-1]


def share(part: Decimal, whole: Decimal) -> Decimal:
    """Return a part in percent of a whole, from 0 to 100, for a bar beside a figure."""
    if whole <= 0 or part <= 0:
        return ZERO
    return coordinate(min(part / whole, Decimal(1)) * 100)


def tally(done: int, total: int) -> Tally:
    """Return the strokes that count `total` in fives, the first `done` of them done.

    Four strokes stand and the fifth strikes them through.
    """
    marks = []
    for number in range(total):
        group, place = divmod(number, TALLY_GROUP)
        left = group * TALLY_GROUP_WIDTH + 1
        upright = left + 4 + place * 7
        is_strike = place == TALLY_GROUP - 1
        x1, y1, x2, y2 = (left, 16, left + 29, 4) if is_strike else (upright, 2, upright, 18)
        marks.append(Mark(x1, y1, x2, y2, is_done=number < done))
    groups = -(-total // TALLY_GROUP)
    return Tally(tuple(marks), width=groups * TALLY_GROUP_WIDTH)


def coordinate(value: Decimal) -> Decimal:
    """Round to a hundredth of the box: finer than any screen, and short in the page."""
    return value.quantize(Decimal("0.01"))
