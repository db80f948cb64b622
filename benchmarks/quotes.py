"""`quote_per_s`: price quote documents, beside only decoding and encoding their JSON."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import override

from benchmarks.harness import Result, compare
from billing.rating.quotes import quote

DOCUMENTS = 2_000
TIERS = [
    {"up_to": "1000", "unit_amount": "0.01"},
    {"up_to": "50000", "unit_amount": "0.008"},
    {"up_to": None, "unit_amount": "0.005"},
]


def run() -> Iterator[Result]:
    yield compare("quote_per_s", "quotes/s", Pricing(), Copying())


class Copying:
    """Read quote documents and write them again."""

    def prepare(self) -> list[str]:
        return [json.dumps(document(number)) for number in range(DOCUMENTS)]

    def __call__(self, lines: list[str]) -> int:
        return len([json.dumps(json.loads(line)) for line in lines])


class Pricing(Copying):
    """Read quote documents and write their results."""

    @override
    def __call__(self, lines: list[str]) -> int:
        return len([json.dumps(quote(json.loads(line, parse_float=Decimal))) for line in lines])


def document(number: int) -> dict[str, object]:
    """Return a quote of three prices, a discount and a tax rate; each has its own quantities."""
    return {
        "currency": "USD",
        "prices": [
            {"key": "base", "model": "flat", "amount": "49"},
            {"key": "calls", "meter": "calls", "model": "graduated", "tiers": TIERS},
            {"key": "data", "meter": "data", "model": "package", "size": "10", "amount": "1.5"},
        ],
        "usage": {
            "calls": {"quantity": str(number * 37)},
            "data": {"quantity": str(number * 3)},
        },
        "discounts": [{"percent_off": "10"}],
        "tax_rates": ["20"],
    }
