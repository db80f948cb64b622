"""Every list, search, form and page of the admin opens, in a known number of queries."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from customers.models import Customer
from tests.admin import world

BUDGETS = Path(__file__).parent / "query_budgets.json"
IS_UPDATE = bool(os.environ.get("UPDATE_QUERY_BUDGETS"))
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = ("customers", "metering", "billing")
# Composite primary keys: read through the pages "Events" and "Usage".
UNREGISTERABLE = {
    "ArchivedUsage",
    "ChangedDay",
    "DailyTotal",
    "Event",
    "EventKey",
    "PendingBatch",
    "PendingCorrection",
    "UsageBucket",
    "UsageLayout",
    "UsageMembers",
}
# Answers that a program may be given again for a day; nobody reads them.
NOBODYS_BUSINESS = {"RememberedAnswer"}
# A plan version reads as its prices, an invoice as its lines, a
# subscription as its changes and what they came to, a folding round on the overview,
# staged events as a session's counts, batches of a nightly run as that run's.
SHOWN_WITH_THEIR_OWNERS = {
    "BillingBatch",
    "LogImportPiece",
    "Price",
    "InvoiceLine",
    "FoldingRound",
    "StagedEvents",
    "StoredPdf",
}


def address(model: type[Model], page: str, *args: Any) -> str:
    options = model._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_{page}", args=args)


def model_admin(model: type[Model]) -> Any:
    return admin.site._registry[model]


def ask(client: Client, url: str) -> tuple[int, int]:
    """Return the status of a page and how many queries it took."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    return response.status_code, len(queries)


def check_budget(name: str, spent: int) -> None:
    budgets: dict[str, int] = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    if IS_UPDATE:
        text = json.dumps(budgets | {name: spent}, indent=4, sort_keys=True)
        BUDGETS.write_text(text + "\n")
        return
    assert spent <= budgets[name], f"{name} took {spent} queries, {budgets[name]} are its budget"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_every_page_of_a_model_opens_within_its_budget(
    standing_shop: Customer, desk: Client, model: type[Model]
) -> None:
    row = model._default_manager.first()
    assert row is not None, f"tests.admin.world makes no {model._meta.label}"
    pages = {
        "list": address(model, "changelist"),
        "search": f"{address(model, 'changelist')}?q=acme",
        "change": address(model, "change", row.pk),
    }

    for page, url in pages.items():
        status, spent = ask(desk, url)
        assert status == 200, url
        check_budget(f"{model._meta.label_lower}:{page}", spent)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_an_add_form_opens_where_staff_may_add(
    standing_shop: Customer, desk: Client, model: type[Model]
) -> None:
    response = desk.get(address(model, "add"))

    assert response.status_code == (200 if model_admin(model).can_add else 403)


def test_a_longer_list_takes_no_more_queries(standing_shop: Customer, desk: Client) -> None:
    lists = [address(model, "changelist") for model in MODELS]
    spent = {url: ask(desk, url) for url in lists}
    world.build("globex")

    assert {url: ask(desk, url) for url in lists} == spent


def test_every_model_of_ours_has_a_place_in_the_admin() -> None:
    registered = {model for model in MODELS if model._meta.app_label in OURS}
    inlines = {
        inline.model
        for model_admin in admin.site._registry.values()
        for inline in model_admin.inlines
    }
    models = {model for app in OURS for model in apps.get_app_config(app).get_models()}

    unseen = {model.__name__ for model in models - registered - inlines}

    assert unseen == UNREGISTERABLE | SHOWN_WITH_THEIR_OWNERS | NOBODYS_BUSINESS
