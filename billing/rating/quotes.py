"""Quotes: a document with prices and usage in, the invoice it would make out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.arithmetic import plain
from billing.rating.documents import Fields, described, field_names, listed, parse_percent
from billing.rating.errors import PriceError
from billing.rating.lines import RatedLine, price_usage
from billing.rating.minimums import Commitment, true_up
from billing.rating.money import check_currency, currency_exponent, round_amount
from billing.rating.prices import Price, parse_prices
from billing.rating.totals import Discount, Totals, total_lines
from billing.rating.usage import PeriodUsage, no_usage, parse_usage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a quote document asks."""

    currency: str
    prices: tuple[Price, ...]
    usage: Mapping[str, PeriodUsage]
    discounts: tuple[Discount, ...]
    tax_rates: tuple[Decimal, ...]
    credits: Decimal
    minimum_amount: Decimal | None = None

    def lines(self) -> list[RatedLine]:
        """Return one line for each price, as the period's last invoice would have it.

        Where what the period comes to is below the minimum, one more line makes up for it.
        """
        lines = [self._line(price) for price in self.prices]
        if self.minimum_amount is not None:
            whole = sum((self._whole_period(price) for price in self.prices), ZERO)
            line = true_up([Commitment(self.minimum_amount)], whole, self.currency)
            lines += [line] if line.amount else []
        return lines

    def _line(self, price: Price) -> RatedLine:
        used = self.usage.get(price.key) or no_usage(price.model.usage_kind)
        return price_usage(price, used.usage, used.billed, self.currency)

    def _whole_period(self, price: Price) -> Decimal:
        """Return what a price costs for the period, whichever invoices bill it."""
        used = self.usage.get(price.key) or no_usage(price.model.usage_kind)
        return price_usage(price, used.usage, None, self.currency).amount

    def totals(self, lines: Collection[RatedLine]) -> Totals:
        return total_lines(
            [(line.price, line.amount) for line in lines],
            self.currency,
            discounts=self.discounts,
            tax_rates=self.tax_rates,
            credits=self.credits,
        )


def quote(document: object) -> dict[str, object]:
    """Price a quote document (docs/pricing.md) and return the result as JSON carries it.

    Raises `PriceError` naming the first field that is wrong and what to write instead.
    """
    asked = parse_quote(document)
    lines = asked.lines()
    totals = asked.totals(lines)
    return {
        "currency": asked.currency,
        "lines": [line.as_document() for line in lines],
        "subtotal": plain(totals.subtotal),
        "discount": plain(totals.discount),
        "tax": plain(totals.tax),
        "credits": plain(totals.credits),
        "total": plain(totals.total),
    }


def parse_quote(document: object) -> Quote:
    fields = Fields(document, what="a quote")
    fields.only(field_names(Quote), "A quote")
    currency = _parse_currency(fields)
    prices = _parse_prices(fields)
    keys = [price.key for price in prices]
    return Quote(
        currency=currency,
        prices=prices,
        usage=_parse_usage(fields, prices),
        discounts=tuple(
            _parse_discount(discount, keys)
            for discount in fields.objects("discounts", "a discount")
        ),
        tax_rates=_parse_tax_rates(fields),
        credits=_parse_credits(fields, currency),
        minimum_amount=fields.optional_rate("minimum_amount"),
    )


def _parse_currency(fields: Fields) -> str:
    value = fields.required("currency", 'an ISO 4217 code in capitals, such as "USD"')
    if not isinstance(value, str):
        raise PriceError(
            "currency", f'Write an ISO 4217 code such as "USD", not {described(value)}.'
        )
    return check_currency(value)


def _parse_prices(fields: Fields) -> tuple[Price, ...]:
    documents = fields.items("prices")
    if not documents:
        raise PriceError("prices", "Write a list of at least one price.")
    return parse_prices(documents)


def _parse_usage(fields: Fields, prices: Collection[Price]) -> dict[str, PeriodUsage]:
    """Return usage by price key. A meter's usage goes to all of its prices that have no own."""
    documents = fields.object("usage", "the usage of each price")
    given = documents.document
    keys = {price.key for price in prices}
    known = keys | {price.meter for price in prices if price.meter is not None}
    for name in given:
        _check_known(name, known, documents.at(str(name)))
    usage = {}
    for price in prices:
        name = price.key
        if name not in given and price.meter is not None and price.meter not in keys:
            name = price.meter
        if name in given:
            entry = documents.object(name, "the usage of a price")
            usage[price.key] = parse_usage(entry, price.model.usage_kind, price.model.key)
    return usage


def _parse_discount(fields: Fields, keys: Collection[str]) -> Discount:
    fields.only(field_names(Discount), "A discount")
    percent_off = fields.optional_percent("percent_off")
    amount_off = fields.optional_rate("amount_off")
    if (percent_off is None) == (amount_off is None):
        raise PriceError(fields.path, "Write either percent_off or amount_off.")
    if fields.get("prices") is None:
        return Discount(percent_off, amount_off)
    scope = fields.items("prices")
    if not scope:
        raise PriceError(
            fields.at("prices"), "Name at least one price, or leave prices out for all of them."
        )
    names = tuple(
        _check_known(name, keys, f"{fields.at('prices')}.{index}")
        for index, name in enumerate(scope)
    )
    return Discount(percent_off, amount_off, names)


def _parse_tax_rates(fields: Fields) -> tuple[Decimal, ...]:
    return tuple(
        parse_percent(rate, f"tax_rates.{index}")
        for index, rate in enumerate(fields.items("tax_rates"))
    )


def _parse_credits(fields: Fields, currency: str) -> Decimal:
    credits = fields.rate("credits", ZERO)
    if round_amount(credits, currency) != credits:
        places = currency_exponent(currency)
        raise PriceError(
            "credits", f"{currency} has {places} decimal places: write credits with no more."
        )
    return credits


def _check_known(key: object, keys: Collection[str], field: str) -> str:
    if not isinstance(key, str) or key not in keys:
        raise PriceError(
            field, f"There is no price with the key {described(key)}. Write {listed(keys)}."
        )
    return key
