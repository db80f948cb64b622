"""How amounts, quantities and instants read in a customer's locale, currency and time zone.

Pure functions over Babel, the only place that turns a number into text for people. Locales are
names such as `en`, `fr` or `de-CH`; one that Babel does not know reads as English.
"""

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates, numbers

DEFAULT_LOCALE = "en"
WITHOUT_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))
INSTANT = timedelta(microseconds=1)
COMPACT_FROM = 10_000
# Rates have at most these places; a division that goes on for ever is shown no further.
MOST_PLACES = 15
# Babel rounds to the precision of the current context. The largest quantity has 30 digits before
# the point and so has the largest rate: their product has 60.
SHOWN_DIGITS = 80


@lru_cache(maxsize=256)
def parsed_locale(name: str) -> Locale:
    """Return Babel's locale for a name with hyphens or underscores, English if there is none."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return Locale.parse(DEFAULT_LOCALE)


def money(amount: Decimal, currency: str, locale: str) -> str:
    """Write an amount at its currency's own places: $1,234.50, 1 234,50 €, ¥1,235."""
    with localcontext(prec=SHOWN_DIGITS):
        return numbers.format_currency(amount, currency, locale=parsed_locale(locale))


def rate(unit_amount: Decimal, currency: str, locale: str) -> str:
    """Write a rate with every place it has, and at least the currency's own: $0.000042, $5.00."""
    with localcontext(prec=SHOWN_DIGITS):
        return numbers.format_currency(
            shown(unit_amount), currency, locale=parsed_locale(locale), decimal_quantization=False
        )


def percentage(percent: Decimal, locale: str) -> str:
    """Write a percentage with every place it has: 1.3%, 1,3 %."""
    with localcontext(prec=SHOWN_DIGITS):
        return numbers.format_percent(
            shown(percent) / 100, locale=parsed_locale(locale), decimal_quantization=False
        )


def quantity(value: Decimal, locale: str) -> str:
    """Write a quantity in groups and with every place it has: 1,234,567.5."""
    with localcontext(prec=SHOWN_DIGITS):
        return numbers.format_decimal(
            shown(value), locale=parsed_locale(locale), decimal_quantization=False
        )


def short_quantity(value: Decimal, locale: str) -> str:
    """Write a quantity for the axis of a chart: 12K, 1.5M; below 10,000 in full."""
    if abs(value) < COMPACT_FROM:
        return quantity(value, locale)
    with localcontext(prec=SHOWN_DIGITS):
        return numbers.format_compact_decimal(
            value, locale=parsed_locale(locale), fraction_digits=1
        )


def shown(value: Decimal) -> Decimal:
    """Return a decimal without needless zeros, without an exponent, at `MOST_PLACES` or fewer."""
    places = value.as_tuple().exponent
    if isinstance(places, int) and -places > MOST_PLACES:
        value = value.quantize(Decimal(1).scaleb(-MOST_PLACES), rounding=ROUND_HALF_UP)
    digits = format(value, "f")
    return Decimal(digits.rstrip("0").rstrip(".") if "." in digits else digits) + 0


def day(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write the calendar day of an instant: 15 Mar 2026.

    Without the marks that turn the direction of writing: pages are English, and read from the left.
    """
    text = dates.format_date(at.astimezone(zone), "medium", locale=parsed_locale(locale))
    return text.translate(WITHOUT_MARKS)


def short_day(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write the calendar day of an instant without its year: 15 Mar."""
    return dates.format_skeleton("MMMd", at.astimezone(zone), locale=parsed_locale(locale))


def month(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write the month of an instant: March 2026."""
    return dates.format_skeleton("yMMMM", at.astimezone(zone), locale=parsed_locale(locale))


def time_of_day(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write the clock time of an instant, without its zone: 13:05."""
    return dates.format_time(at, "short", tzinfo=zone, locale=parsed_locale(locale))


def instant(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write an instant with the zone it is read in: 15 Mar 2026, 13:05 CET."""
    name = at.astimezone(zone).strftime("%Z")
    # The tz database names some zones by their offset alone.
    name = f"UTC{name}" if name[0] in "+-" else name
    return f"{day(at, zone, locale)}, {time_of_day(at, zone, locale)} {name}"


@lru_cache(maxsize=1024)
def period(start: datetime, end: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write the days that the half-open period `[start, end)` touches: 1 - 31 March 2026."""
    first, last = start.astimezone(zone).date(), (end - INSTANT).astimezone(zone).date()
    return days(first, max(first, last), locale)


def days(first: date, last: date, locale: str) -> str:
    """Write days up to and with the last one: 1 - 31 March 2026."""
    return dates.format_interval(first, last, "yMMMd", locale=parsed_locale(locale))


def span(start: datetime, end: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write a half-open period so that no day reads as if it were in two that meet within it.

    Whole days are written as days; a bound within a day has its time.
    """
    if start >= end or (is_midnight(start, zone) and is_midnight(end, zone)):
        return period(start, end, zone, locale)
    first = day(start, zone, locale)
    if not is_midnight(start, zone):
        first = f"{first}, {time_of_day(start, zone, locale)}"
    if is_midnight(end, zone):
        return f"{first} \u2013 {day(end - INSTANT, zone, locale)}"
    return f"{first} \u2013 {day(end, zone, locale)}, {time_of_day(end, zone, locale)}"


def is_midnight(at: datetime, zone: ZoneInfo) -> bool:
    """Say whether a local day begins at an instant, wherever its first instant is on the clock."""
    return (at - INSTANT).astimezone(zone).date() < at.astimezone(zone).date()


def country(code: str, locale: str) -> str:
    """Write the name of a country by its ISO 3166 code; an unknown code stays as it is."""
    return str(parsed_locale(locale).territories.get(code, code))
