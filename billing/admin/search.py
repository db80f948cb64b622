"""The command palette: customers, invoices and plans by name, number or key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from billing.models import Invoice, Plan
from config.admin import SearchResult, change_url
from customers.models import Customer

MOST_OF_A_KIND = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows that the palette finds, who may see them, and how a hit is described."""

    permission: str
    icon: str
    matching: Callable[[str], QuerySet[Any]]
    describe: Callable[[Any], str]


KINDS = (
    Kind(
        permission="customers.view_customer",
        icon="apartment",
        matching=lambda term: Customer.objects.filter(
            Q(key__icontains=term) | Q(name__icontains=term) | Q(email__icontains=term)
        ),
        describe=lambda customer: f"Customer {customer.key}",
    ),
    Kind(
        permission="billing.view_invoice",
        icon="receipt_long",
        matching=lambda term: Invoice.objects.filter(number__icontains=term).select_related(
            "customer"
        ),
        describe=lambda invoice: f"Invoice of {invoice.customer}, {invoice.get_status_display()}",
    ),
    Kind(
        permission="billing.view_plan",
        icon="sell",
        matching=lambda term: Plan.objects.filter(Q(key__icontains=term) | Q(name__icontains=term)),
        describe=lambda plan: f"Plan {plan.key}",
    ),
)


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """Return what a person may see of the rows that match, the first few of each kind."""
    return list(hits(request, term))


def hits(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    for kind in KINDS:
        if request.user.has_perm(kind.permission):
            for row in kind.matching(term)[:MOST_OF_A_KIND]:
                yield hit(kind, row)


def hit(kind: Kind, row: Model) -> SearchResult:
    return SearchResult(
        title=str(row), description=kind.describe(row), link=change_url(row), icon=kind.icon
    )
