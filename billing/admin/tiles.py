"""Figures at the head of a page, drawn by `templates/admin/_tile.html`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.http import urlencode

from billing.admin import words
from billing.selectors.invoices import CurrencyTotal
from config.admin import Tone


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure or a few, what they mean, and the page where one acts on them."""

    title: str
    figures: tuple[str, ...]
    note: str
    address: str
    tone: Tone = "default"


def listing(model: str, **query: str | int) -> str:
    """Return the address of a model's list, such as `billing_invoice`, narrowed by `query`."""
    address = reverse(f"admin:{model}_changelist")
    return f"{address}?{urlencode(query)}" if query else address


def counted(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def invoices(totals: Iterable[CurrencyTotal]) -> int:
    return sum(total.invoices for total in totals)


def figures(totals: Iterable[CurrencyTotal]) -> tuple[str, ...]:
    """Return the money of each currency; amounts of different currencies are never added."""
    return tuple(words.money(total.amount, total.currency) for total in totals) or ("none",)
