"""Document numbers without gaps."""

from django.db import transaction

from billing.models import NumberSeries

DIGITS = 6


@transaction.atomic
def next_number(*, prefix: str) -> str:
    """Return the next number of a series, such as INV-000001; see `next_numbers`."""
    [number] = next_numbers(prefix=prefix, count=1)
    return number


@transaction.atomic
def next_numbers(*, prefix: str, count: int) -> list[str]:
    """Return the next numbers of a series, in their order.

    The series stays locked until the surrounding transaction ends. A document that is rolled back
    gives its number back, so there are no gaps; call this as late in a transaction as possible,
    since everybody else who issues a document waits for its end.
    """
    if not count:
        return []
    NumberSeries.objects.get_or_create(prefix=prefix)
    series = NumberSeries.objects.select_for_update().get(prefix=prefix)
    first = series.next_number
    series.next_number = first + count
    series.save(update_fields=["next_number"])
    return [f"{prefix}{number:0{DIGITS}d}" for number in range(first, first + count)]
