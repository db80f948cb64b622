"""Plans in the admin: drafts written in tables, looked at, published; versions compared."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from billing.admin.price_inputs import documents_of_form, model_fields, nested, rearranged
from billing.models import Plan, PlanVersion
from billing.rating.price_models import PRICE_MODELS
from billing.services.catalog import begin_draft, publish_new_version
from customers.models import Customer
from tests.billing.plans import CALLS, FEE, publish_plan
from tests.factories import NOW, make_meter, make_staff

TERMS = {
    "interval": "month",
    "interval_count": "1",
    "trial_days": "0",
    "grace_hours": "24",
    "payment_days": "14",
}
GRADUATED = {
    "prices.0.key": "calls",
    "prices.0.name": "API calls",
    "prices.0.model": "graduated",
    "prices.0.meter": "calls",
    "prices.0.tiers.0.up_to": "1000",
    "prices.0.tiers.1.unit_amount": "0.002",
}
SENTENCE = "first 1,000 free, then $0.002 each"

pytestmark = pytest.mark.django_db


def page(version: PlanVersion) -> str:
    return reverse("admin:billing_planversion_change", args=[version.pk])


@pytest.fixture
def draft() -> PlanVersion:
    make_meter("calls")
    return begin_draft(plan=publish_plan(FEE).plan)


def send(desk: Client, draft: PlanVersion, do: str, fields: dict[str, str]) -> Any:
    return desk.post(page(draft), TERMS | fields | {"do": do})


def text(response: Any) -> str:
    return str(response.content.decode())


def documents(version: PlanVersion) -> list[dict[str, Any]]:
    return [price.document for price in version.prices.all()]


def test_a_new_plan_goes_on_to_its_draft(desk: Client) -> None:
    form = {"key": "pro", "name": "Pro", "currency": "EUR", "versions-TOTAL_FORMS": "0"}
    response = desk.post(reverse("admin:billing_plan_add"), form | {"versions-INITIAL_FORMS": "0"})
    draft = PlanVersion.objects.get()
    assert (draft.is_draft, draft.currency, response["Location"]) == (True, "EUR", page(draft))
    assert "There are no prices yet." in text(desk.get(page(draft)))


def test_tiers_are_written_in_a_table_and_saved(desk: Client, draft: PlanVersion) -> None:
    assert send(desk, draft, "save", GRADUATED | {"grace_hours": "48"}).status_code == 302
    draft.refresh_from_db()
    [document] = documents(draft)
    assert (draft.is_draft, draft.grace_hours) == (True, 48)
    tiers = [(tier["up_to"], tier["unit_amount"]) for tier in document["tiers"]]
    assert tiers == [("1000", "0"), (None, "0.002")]
    shown = text(desk.get(page(draft)))
    assert 'name="prices.0.tiers.0.up_to" value="1000"' in shown


def test_publishing_makes_the_draft_what_is_sold(desk: Client, draft: PlanVersion) -> None:
    send(desk, draft, "publish", GRADUATED)
    assert draft.plan.current_version() == draft
    shown = text(desk.get(page(draft)))
    assert SENTENCE in shown
    assert 'id="editor"' not in shown


def test_the_preview_says_what_customers_will_read_and_pay(
    desk: Client, draft: PlanVersion
) -> None:
    shown = text(send(desk, draft, "show", GRADUATED | {"reach": "2000"}))
    assert SENTENCE in shown
    assert "<polyline" in shown
    assert '<td>2,000</td><td class="tp-number">$2.00</td>' in shown
    assert not documents(draft)[0].get("tiers")


def test_the_preview_stands_beside_what_is_sold_now(desk: Client, draft: PlanVersion) -> None:
    fee = {"prices.0.key": "base", "prices.0.model": "flat", "prices.0.amount": "40"}
    shown = text(send(desk, draft, "show", fee))
    assert "$40.00" in shown
    assert "$31.00" in shown


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"prices.0.tiers.0.up_to": "-1"}, "prices.0.tiers.0.up_to"),
        ({"prices.0.tiers.1.up_to": "5"}, "prices.0.tiers.1.up_to"),
        ({"prices.0.meter": "nothing"}, "prices.0.meter"),
        ({"prices.0.key": ""}, "prices.0.key"),
        ({"prices.0.unit_conversion.divide_by": "x"}, "prices.0.unit_conversion.divide_by"),
        ({"prices.0.timing": "later"}, "prices.0.timing"),
        ({"prices.0.model": "nothing"}, "prices.0.model"),
    ],
)
def test_a_mistake_is_told_at_its_input(
    desk: Client, draft: PlanVersion, change: dict[str, str], name: str
) -> None:
    response = send(desk, draft, "publish", GRADUATED | change)
    assert response.status_code == 200
    assert f'id="problem_{name}"' in text(response)
    draft.refresh_from_db()
    assert draft.is_draft


@pytest.mark.parametrize(
    ("terms", "field"),
    [({"grace_hours": "-1"}, "grace_hours"), ({"invoice_threshold": "0"}, "invoice_threshold")],
)
def test_a_wrong_term_is_told_at_its_field(
    desk: Client, draft: PlanVersion, terms: dict[str, str], field: str
) -> None:
    response = send(desk, draft, "save", GRADUATED | terms)
    assert field in response.context["terms"].errors


def test_a_draft_without_prices_is_not_published(desk: Client, draft: PlanVersion) -> None:
    assert "at least one price" in text(send(desk, draft, "publish", {}))


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        ("add:0.tiers", {"prices.0.tiers.2.up_to"}),
        ("add", {"prices.1.model"}),
        ("remove:0.tiers.1", set()),
        ("nonsense:9.x", {"prices.0.tiers.1.up_to"}),
    ],
)
def test_rows_come_and_go_without_javascript(
    desk: Client, draft: PlanVersion, do: str, expected: set[str]
) -> None:
    shown = text(send(desk, draft, do, GRADUATED))
    assert all(f'name="{name}"' in shown for name in expected)
    assert ('name="prices.0.tiers.1.up_to"' in shown) is not do.startswith("remove")


def test_prices_move_up() -> None:
    rows: list[dict[str, Any]] = [{"key": "a"}, {"key": "b"}, {"key": "c"}]
    assert [row["key"] for row in rearranged(rows, "up:2")] == ["a", "c", "b"]


@pytest.mark.parametrize("model", PRICE_MODELS)
def test_every_model_has_its_inputs(desk: Client, draft: PlanVersion, model: str) -> None:
    shown = text(send(desk, draft, "show", {"prices.0.key": "x", "prices.0.model": model}))
    fields = model_fields(model)
    assert fields
    for field in fields:
        assert f'name="prices.0.{field.name}' in shown, field


def test_json_that_is_none_is_told_at_its_input(desk: Client, draft: PlanVersion) -> None:
    matrix = {"prices.0.key": "x", "prices.0.model": "matrix", "prices.0.cells": "[1"}
    assert 'id="problem_prices.0.cells"' in text(send(desk, draft, "save", matrix))


def test_names_of_a_form_that_contradict_each_other_break_nothing() -> None:
    sent = QueryDict("prices.0=x&prices.0.key=y&prices.a.b=c&a.b.c.d.e.f.g.h.i.j=1&plain=1")
    assert nested(sent)["prices"]["0"] == "x"
    assert documents_of_form(QueryDict("prices.0.tiers.x=1&prices.0.model=graduated"))


def test_a_next_version_begins_as_a_draft(desk: Client) -> None:
    plan = publish_plan().plan
    address = reverse("admin:billing_plan_new_version", args=[plan.pk])
    response = desk.post(address, {"currency": "", "customer": ""})
    draft = PlanVersion.objects.get(published_at=None)
    assert response["Location"] == page(draft)
    assert documents(draft) == documents(plan.versions.get(number=1))


def test_a_draft_in_a_new_currency_begins_without_prices(desk: Client, acme: Customer) -> None:
    plan = publish_plan(minimum_amount=None).plan
    address = reverse("admin:billing_plan_new_version", args=[plan.pk])
    desk.post(address, {"currency": "eur", "customer": ""})
    desk.post(address, {"currency": "", "customer": "acme"})
    euros, own = PlanVersion.objects.filter(published_at=None).order_by("number")
    assert (euros.currency, documents(euros)) == ("EUR", [])
    assert (own.customer, len(documents(own))) == (acme, 2)
    assert "no customer with this key" in text(desk.post(address, {"customer": "nobody"}))


def test_a_draft_is_deleted_in_a_dialog(desk: Client, draft: PlanVersion) -> None:
    address = reverse("admin:billing_planversion_drop_draft", args=[draft.pk])
    assert desk.get(address).status_code == 200
    assert desk.post(address)["Location"] == reverse(
        "admin:billing_plan_change", args=[draft.plan_id]
    )
    assert not PlanVersion.objects.filter(published_at=None).exists()


def test_staff_who_may_only_look_get_no_editor(client: Client, draft: PlanVersion) -> None:
    person = make_staff("reader@example.com")
    person.is_superuser = False
    person.save()
    person.user_permissions.add(Permission.objects.get(codename="view_planversion"))
    client.force_login(person)
    assert 'id="editor"' not in text(client.get(page(draft)))
    send(client, draft, "publish", GRADUATED)
    draft.refresh_from_db()
    assert draft.is_draft


def test_two_versions_are_compared(desk: Client) -> None:
    old = publish_plan()
    dearer = {**CALLS, "tiers": [{"up_to": None, "unit_amount": "7"}]}
    new = publish_new_version(plan=old.plan, at=NOW, grace_hours=1, prices=[dearer])
    address = reverse("admin:plan_comparison")
    shown = text(desk.get(address, {"old": old.pk, "new": new.pk}))
    assert "grace_hours: 24 -&gt; 1" in shown
    assert "$7.00 each" in shown
    assert shown.count("<polyline") == 2
    assert desk.get(address).status_code == 200


def test_versions_in_two_currencies_do_not_compare(desk: Client) -> None:
    old = publish_plan(FEE)
    new = publish_new_version(plan=old.plan, at=NOW, currency="EUR", prices=[FEE])
    address = reverse("admin:plan_comparison")
    assert "do not compare" in text(desk.get(address, {"old": old.pk, "new": new.pk}))


def test_the_name_of_a_plan_changes_without_a_version(desk: Client) -> None:
    plan = publish_plan().plan
    form = {"name": "Professional", "versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
    desk.post(reverse("admin:billing_plan_change", args=[plan.pk]), form)
    assert (Plan.objects.get().name, plan.versions.count()) == ("Professional", 1)
