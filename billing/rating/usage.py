"""What usage a price reads: a quantity, each event's value, or quantities by dimensions.

A price model says which (`PriceModel.reads`). Whoever prices a period fetches that from metering
and hands it to `lines.price_usage`, in one of these forms:

- `Decimal`: a quantity.
- `EventValues`: pairs of a value and how many events in a row have it. They are read once, so they
  may come from a generator. Where the order of events makes no difference (`UsageRead.in_order`
  is false), equal values may be put together, however far apart they were.
- `GroupedQuantities`: pairs of a combination of dimensions and its quantity. A dimension that the
  events do not have is `None`, or left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from billing.rating.arithmetic import QUANTITY_PLACES, exact_arithmetic
from billing.rating.documents import Fields, Reader, described, parse_decimal
from billing.rating.errors import PriceError

type Group = Mapping[str, str | None]
type EventValues = Iterable[tuple[Decimal, int]]
type GroupedQuantities = Iterable[tuple[Group, Decimal]]
type Usage = Decimal | EventValues | GroupedQuantities


class UsageKind(Enum):
    """The form in which a price model reads a period's usage."""

    NOTHING = auto()
    QUANTITY = auto()
    VALUES = auto()
    QUANTITIES = auto()


@dataclass(frozen=True, slots=True)
class UsageRead:
    """What to fetch from metering to price a period.

    `dimensions` are the event properties to group by, for `QUANTITIES`. `in_order` says, for
    `VALUES`, that the order of the events (by timestamp, then id) makes a difference.
    """

    kind: UsageKind
    dimensions: tuple[str, ...] = ()
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """A period's usage so far, and what earlier invoices of the period billed, if any did."""

    usage: Usage
    billed: Usage | None = None


def parse_usage(fields: Fields, kind: UsageKind, what: str) -> PeriodUsage:
    """Read the usage of a price in a quote: `quantity` and `billed_quantity`, or their like.

    `what` names the model in a sentence. Raises `PriceError` naming the field that is wrong.
    """
    forms = _FORMS[kind]
    fields.only(_NAMES[kind], f"The usage of a {what} price")
    given = [name for name, value in fields.document.items() if value is not None]
    form = next((name for name in forms if name in given), next(iter(forms)))
    billed_form = _billed(form)
    for name in given:
        if name not in (form, billed_form):
            raise PriceError(fields.at(name), f"Beside {form} write {billed_form} alone.")
    read = forms[form]
    return PeriodUsage(
        read(fields, form), read(fields, billed_form) if billed_form in given else None
    )


def no_usage(kind: UsageKind) -> PeriodUsage:
    """Return the usage of a price that nobody used."""
    return _UNUSED[kind]


def _billed(form: str) -> str:
    return f"billed_{form}"


def _quantity(fields: Fields, name: str) -> Decimal:
    return fields.signed_quantity(name)


def _values(fields: Fields, name: str) -> list[tuple[Decimal, int]]:
    path = fields.at(name)
    if fields.get(name) is None:
        raise PriceError(path, f'"{name}" is missing. Write a list with the value of each event.')
    return [
        (parse_decimal(value, f"{path}.{index}", places=QUANTITY_PLACES), 1)
        for index, value in enumerate(fields.items(name))
    ]


def _sum_of_values(fields: Fields, name: str) -> Decimal:
    with exact_arithmetic():
        return sum((value for value, _ in _values(fields, name)), Decimal(0))


def _quantities(fields: Fields, name: str) -> list[tuple[Group, Decimal]]:
    if fields.get(name) is None:
        raise PriceError(
            fields.at(name), f'"{name}" is missing. Write a list of objects with group, quantity.'
        )
    return [_grouped_quantity(entry) for entry in fields.objects(name, "a quantity of a group")]


def _grouped_quantity(fields: Fields) -> tuple[Group, Decimal]:
    fields.only(("group", "quantity"), "A quantity of a group")
    group = fields.object("group", "a group")
    for name, value in group.document.items():
        if value is not None and not isinstance(value, str):
            raise PriceError(
                group.at(str(name)), f"Write the property's text, or null, not {described(value)}."
            )
    return group.document, fields.signed_quantity("quantity")


_FORMS: dict[UsageKind, dict[str, Reader]] = {
    UsageKind.NOTHING: {"quantity": _quantity},
    UsageKind.QUANTITY: {"quantity": _quantity, "values": _sum_of_values},
    UsageKind.VALUES: {"values": _values},
    UsageKind.QUANTITIES: {"quantities": _quantities},
}
_NAMES = {kind: (*forms, *map(_billed, forms)) for kind, forms in _FORMS.items()}
_UNUSED: dict[UsageKind, PeriodUsage] = {
    # A fee is one, used or not.
    UsageKind.NOTHING: PeriodUsage(Decimal(1)),
    UsageKind.QUANTITY: PeriodUsage(Decimal(0)),
    UsageKind.VALUES: PeriodUsage(()),
    UsageKind.QUANTITIES: PeriodUsage(()),
}
