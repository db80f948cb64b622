"""A percentage of each event's value, with what is free and the bounds of each event's fee."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self, override

from billing.rating.arithmetic import grouped
from billing.rating.documents import Fields
from billing.rating.errors import PriceError
from billing.rating.money import words_for_amount
from billing.rating.price_models.base import ZERO, PriceModel, Rated, Tariff, register
from billing.rating.steps import Step, StepKind, percentage_of
from billing.rating.usage import EventValues, UsageKind, UsageRead


@dataclass(slots=True)
class _Count:
    """Events of one fate: how many, and the value or the amount they come to together."""

    events: int = 0
    total: Decimal = ZERO

    def add(self, each: Decimal, count: int) -> None:
        self.events += count
        self.total += each * count


@register
@dataclass(frozen=True, slots=True)
class Percentage(PriceModel[EventValues]):
    """An event below zero, a refund, is passed over: it pays nothing and uses up nothing free."""

    key: ClassVar[str] = "percentage"
    label: ClassVar[str] = "Percentage"
    summary: ClassVar[str] = "A percentage of each event's value, and a fixed amount per event."
    usage_kind: ClassVar[UsageKind] = UsageKind.VALUES

    rate: Decimal
    fixed_amount: Decimal = ZERO
    free_events: int = 0
    free_amount: Decimal = ZERO
    minimum_per_event: Decimal | None = None
    maximum_per_event: Decimal | None = None

    @override
    @property
    def reads(self) -> UsageRead:
        return UsageRead(self.usage_kind, in_order=bool(self.free_events or self.free_amount))

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        model = cls(
            rate=fields.rate("rate"),
            fixed_amount=fields.rate("fixed_amount", ZERO),
            free_events=fields.whole_number("free_events", 0),
            free_amount=fields.rate("free_amount", ZERO),
            minimum_per_event=fields.optional_rate("minimum_per_event"),
            maximum_per_event=fields.optional_rate("maximum_per_event"),
        )
        least, most = model.minimum_per_event, model.maximum_per_event
        if least is not None and most is not None and most < least:
            raise PriceError(
                fields.at("maximum_per_event"),
                "Write an amount that is not below minimum_per_event.",
            )
        return model

    @override
    def rate_usage(self, usage: EventValues, tariff: Tariff) -> Rated:
        allowance = _Allowance(self.free_events, self.free_amount)
        used, refunds, paying, raised, lowered = (_Count() for _ in range(5))
        for value, count in usage:
            if value < 0:
                refunds.add(value, count)
                continue
            used.add(value, count)
            for payable, events in allowance.payable(value, count):
                paying.add(payable, events)
                fee = percentage_of(payable, self.rate) + self.fixed_amount
                if moved := self._bounded(fee) - fee:
                    (raised if moved > 0 else lowered).add(moved, events)
        steps = [
            *_free("Events that pay nothing", Decimal(used.events - paying.events)),
            *_free("Value that pays nothing", used.total - paying.total),
            *self._charges(paying),
            *_moved("event_minimum", "Minimum per event", raised),
            *_moved("event_maximum", "Maximum per event", lowered),
        ]
        return Rated(used.total + refunds.total, steps)

    def _bounded(self, fee: Decimal) -> Decimal:
        if self.minimum_per_event is not None:
            fee = max(fee, self.minimum_per_event)
        if self.maximum_per_event is not None:
            fee = min(fee, self.maximum_per_event)
        return fee

    def _charges(self, paying: _Count) -> Iterator[Step]:
        share = percentage_of(paying.total, self.rate)
        yield Step("percentage", "Of the value", share, paying.total, rate=self.rate)
        if self.fixed_amount and paying.events:
            fixed = self.fixed_amount * paying.events
            yield Step("fixed", "Per event", fixed, Decimal(paying.events), self.fixed_amount)

    @override
    def describe(self, currency: str) -> str:
        free = []
        if self.free_events:
            events = "event" if self.free_events == 1 else "events"
            free.append(f"first {self.free_events:,} {events} free")
        if self.free_amount:
            free.append(f"first {words_for_amount(self.free_amount, currency)} free")
        rate = f"{grouped(self.rate)}%"
        if self.fixed_amount:
            rate += f" plus {words_for_amount(self.fixed_amount, currency)}"
        bounds = ""
        for opening, bound in (
            ("at least", self.minimum_per_event),
            ("at most", self.maximum_per_event),
        ):
            if bound is not None:
                bounds += f", {opening} {words_for_amount(bound, currency)}"
        return f"{', '.join([*free, f'then {rate}' if free else rate])} of each{bounds}"


@dataclass(slots=True)
class _Allowance:
    """What is free and not used up yet."""

    events: int
    value: Decimal

    def payable(self, value: Decimal, count: int) -> Iterator[tuple[Decimal, int]]:
        """Yield what `count` events of one value, 0 or more, pay on: a value and how many events.

        Free events use up the free value too. Of an event that is free in part, the rest is
        yielded; one wholly free is not.
        """
        skipped = min(count, self.events)
        self.events -= skipped
        self.value = max(self.value - value * skipped, ZERO)
        count -= skipped
        if count and self.value:
            whole = min(count, int(self.value // value)) if value else count
            self.value -= value * whole
            count -= whole
            if count and self.value:
                yield value - self.value, 1
                self.value = ZERO
                count -= 1
        if count:
            yield value, count


def _free(words: str, quantity: Decimal) -> list[Step]:
    return [Step("free", words, ZERO, quantity, ZERO)] if quantity else []


def _moved(kind: StepKind, words: str, moved: _Count) -> list[Step]:
    return [Step(kind, words, moved.total, Decimal(moved.events))] if moved.total else []
