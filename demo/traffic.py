"""Believable API traffic, the same at every run: daily rhythm, weekends, growth, one spike."""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.company import ENDPOINTS, EVENT_TYPE, Company

STATUSES = (200, 304, 404, 429, 500)
STATUS_WEIGHTS = (940, 22, 24, 8, 6)
GROWTH_PERIOD_DAYS = 30


def events_of_day(
    company: Company, day: date, months_ago: int, until: datetime
) -> list[dict[str, Any]]:
    """Return the day's events of a customer before `until`, in order of time.

    The day is a calendar day of the customer's time zone.
    """
    seed = hashlib.sha256(f"{company.key}:{day}".encode()).digest()
    chance = random.Random(seed)  # noqa: S311  # repeatable data, no secret
    zone = ZoneInfo(company.time_zone)
    endpoints = {name: company.endpoints.get(name, entry[1]) for name, entry in ENDPOINTS.items()}
    instants = sorted(
        instants_of_day(company, day, calls_on(company, day, months_ago, chance), chance)
    )
    found = []
    for number, (hour, minute, second, micro) in enumerate(instants):
        local = datetime(day.year, day.month, day.day, hour, minute, second, micro, tzinfo=zone)
        at = local.astimezone(UTC)
        if at >= until:
            break
        name = chance.choices(list(endpoints), list(endpoints.values()))[0]
        found.append(
            {
                "id": f"{company.key}-{day:%Y%m%d}-{number:05d}",
                "type": EVENT_TYPE,
                "customer": company.key,
                "timestamp": at.isoformat().replace("+00:00", "Z"),
                "properties": properties_of(company, name, chance),
            }
        )
    return found


def calls_on(company: Company, day: date, months_ago: int, chance: random.Random) -> int:
    """Return how many calls a customer makes on a day."""
    calls = company.calls_a_day * (100 - months_ago * company.growth_percent)
    if day.weekday() >= 5:
        calls = calls * company.weekend_percent // 100
    spike = company.spike
    if spike and months_ago == spike.months_ago and 0 <= day.day - spike.first_day < spike.days:
        calls *= spike.factor
    return max(0, calls * chance.randint(82, 118) // 10_000)


def instants_of_day(
    company: Company, day: date, calls: int, chance: random.Random
) -> Iterator[tuple[int, int, int, int]]:
    hours = chance.choices(range(24), company.rhythm, k=calls)
    for hour in hours:
        yield hour, chance.randrange(60), chance.randrange(60), chance.randrange(1000) * 1000


def properties_of(company: Company, endpoint: str, chance: random.Random) -> dict[str, Any]:
    method, _, typical_bytes = ENDPOINTS[endpoint]
    # Few users make most of the calls.
    user = min(chance.randrange(company.users), chance.randrange(company.users))
    properties: dict[str, Any] = {
        "endpoint": endpoint,
        "method": method,
        "status": chance.choices(STATUSES, STATUS_WEIGHTS)[0],
        "user_id": f"u-{user + 1:04d}",
        "bytes": typical_bytes * chance.randint(60, 160) // 100,
        "duration_ms": chance.randint(8, 240),
    }
    if endpoint == "/v1/batch":
        properties["locations"] = chance.randint(2, 500)
    return properties


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield the calendar days from `first` to `last`, both included."""
    day = first
    while day <= last:
        yield day
        day += timedelta(days=1)
