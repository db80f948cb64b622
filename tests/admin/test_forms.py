"""What staff make and change: services decide, forms tell what they said."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from billing.models import Invoice, InvoiceLine, Payment, Subscription
from customers.models import ApiKey, Customer, User
from customers.services import authenticate_api_key
from metering.models import Meter, RefusedEvent
from tests.factories import NOW, PASSWORD, make_plan

CUSTOMER = {
    "key": "acme",
    "name": "Acme",
    "email": "billing@acme.example",
    "currency": "EUR",
    "time_zone": "Europe/Paris",
    "locale": "fr",
    "tax_status": "taxable",
}
# Every table of a page sends how many rows it has.
NO_ROWS = {
    f"{table}-{count}_FORMS": "0"
    for table in (
        "memberships",
        "subscriptions",
        "invoices",
        "credit_grants",
        "api_keys",
        "versions",
    )
    for count in ("TOTAL", "INITIAL")
}


def page(model: str, name: str, *args: Any) -> str:
    return reverse(f"admin:{model}_{name}", args=args)


def errors(response: Any) -> dict[str, list[str]]:
    form = response.context["adminform"].form
    return {
        field: [str(message) for message in messages] for field, messages in form.errors.items()
    }


def test_a_customer_is_created_and_changed(desk: Client, db: None) -> None:
    desk.post(page("customers_customer", "add"), CUSTOMER | NO_ROWS)
    customer = Customer.objects.get(key="acme")
    assert (customer.currency, customer.time_zone) == ("EUR", "Europe/Paris")

    change = page("customers_customer", "change", customer.pk)
    terms = {"consolidate_invoices": "on", "grace_hours": "48", "is_taxed_by_country": "on"}
    changed = {"name": "Acme SA", "key": "other"} | terms
    response = desk.post(change, CUSTOMER | NO_ROWS | changed)

    assert response.status_code == 302
    customer.refresh_from_db()
    assert (customer.name, customer.key) == ("Acme SA", "acme")
    assert (customer.consolidate_invoices, customer.grace_hours) == (True, 48)
    assert customer.is_taxed_by_country


def test_a_wrong_time_zone_is_told_at_its_field(desk: Client, db: None) -> None:
    form = CUSTOMER | NO_ROWS | {"time_zone": "Europe/Atlantis"}

    response = desk.post(page("customers_customer", "add"), form)

    assert "no IANA time zone" in errors(response)["time_zone"][0]
    assert not Customer.objects.exists()


def test_members_are_let_in_on_the_customer_page(desk: Client, acme: Customer) -> None:
    person = User.objects.create_user("ada@example.com", PASSWORD)
    members = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(person.pk),
        "memberships-0-role": "viewer",
        "memberships-0-customer": str(acme.pk),
    }

    desk.post(page("customers_customer", "change", acme.pk), CUSTOMER | NO_ROWS | members)

    assert acme.memberships.get().user == person


def test_the_secret_of_a_new_key_is_shown_once(desk: Client, acme: Customer) -> None:
    form = {"name": "Ingest", "customer": str(acme.pk), "scopes": ["events:write"]}

    response = desk.post(page("customers_apikey", "add"), form)

    secret = response.context["issued"].secret
    api_key = ApiKey.objects.get()
    assert response.content.decode().count(secret) == 1
    assert "no-store" in response["Cache-Control"]
    assert authenticate_api_key(secret=secret, at=NOW) == api_key
    later = desk.get(page("customers_apikey", "change", api_key.pk)).content.decode()
    assert secret not in later
    assert api_key.created_by is not None


def test_a_customers_key_does_not_get_the_operators_scope(desk: Client, acme: Customer) -> None:
    form = {"name": "Ingest", "customer": str(acme.pk), "scopes": ["admin"]}

    response = desk.post(page("customers_apikey", "add"), form)

    assert errors(response) == {
        "scopes": ["Only an operator key, one without a customer, may have the scope admin."]
    }
    assert not ApiKey.objects.exists()


def test_the_plan_page_shows_every_version_in_words(desk: Client, db: None) -> None:
    version = make_plan({"key": "calls", "model": "flat", "amount": "10"}, key="pro")

    text = desk.get(page("billing_plan", "change", version.plan_id)).content.decode()

    assert "$10.00" in text


def test_a_subscription_is_started(desk: Client, acme: Customer) -> None:
    version = make_plan({"key": "base", "model": "flat", "amount": "10"})
    form = {
        "customer": str(acme.pk),
        "plan": str(version.plan_id),
        "start_at_0": "2026-03-01",
        "start_at_1": "00:00:00",
        "anchor": "anniversary",
    }

    desk.post(page("billing_subscription", "add"), form)
    again = desk.post(page("billing_subscription", "add"), form)

    assert Subscription.objects.get().plan_version == version
    assert "already has" in errors(again)["__all__"][0]


def test_a_new_address_ends_the_old_one(desk: Client, db: None) -> None:
    person = User.objects.create_user("old@example.com", PASSWORD)
    EmailAddress.objects.create(user=person, email="old@example.com", verified=True)

    desk.post(
        page("customers_user", "change", person.pk),
        {"email": "new@example.com", "is_active": "on"} | NO_ROWS,
    )

    person.refresh_from_db()
    assert person.email == "new@example.com"
    assert not EmailAddress.objects.filter(email="old@example.com").exists()


def test_a_person_is_added_with_a_password(desk: Client, db: None) -> None:
    form = {
        "email": "ada@example.com",
        "name": "Ada",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }

    desk.post(page("customers_user", "add"), form | NO_ROWS)

    assert User.objects.get(email="ada@example.com").check_password(PASSWORD)


def test_staff_do_not_make_themselves_superusers(client: Client, staff: User) -> None:
    clerk = User.objects.create_user("clerk@example.com", PASSWORD, is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    client.force_login(clerk)
    form = {"email": clerk.email, "is_active": "on", "is_superuser": "on"} | NO_ROWS

    client.post(page("customers_user", "change", clerk.pk), form)
    refused = client.post(page("customers_user", "change", staff.pk), form)

    clerk.refresh_from_db()
    assert not clerk.is_superuser
    assert refused.status_code == 403


def snapshot(model: type[Model]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


@pytest.mark.parametrize("model", [Invoice, InvoiceLine, Payment, RefusedEvent])
def test_documents_and_records_are_not_written_by_forms(
    desk: Client, shop: Customer, model: type[Model]
) -> None:
    before = snapshot(model)
    shown = model if model is not InvoiceLine else Invoice
    name = f"{shown._meta.app_label}_{shown._meta.model_name}"
    row = shown._default_manager.first()
    assert row is not None
    lines = {"lines-TOTAL_FORMS": "0", "lines-INITIAL_FORMS": "0"}

    statuses = [
        desk.post(
            page(name, "change", row.pk), {"total": "0", "status": "paid"} | lines
        ).status_code,
        desk.post(page(name, "delete", row.pk), {"post": "yes"}).status_code,
        desk.post(page(name, "add"), {"total": "0"}).status_code,
    ]

    assert statuses == [403, 403, 403]
    assert snapshot(model) == before


METER = {"key": "bytes", "name": "Bytes", "event_type": "api.request", "filters": "[]"}


def test_a_meter_is_created_and_named_anew(desk: Client, db: None) -> None:
    form = METER | {"aggregation": "sum", "value_property": "bytes", "group_by": "endpoint, method"}

    desk.post(page("metering_meter", "add"), form)
    meter = Meter.objects.get(key="bytes")
    desk.post(page("metering_meter", "change", meter.pk), form | {"name": "Traffic"})

    meter.refresh_from_db()
    assert (meter.name, meter.group_by) == ("Traffic", ["endpoint", "method"])


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"aggregation": "sum"}, "value_property", "Sum needs the event property to read"),
        (
            {"aggregation": "count", "filters": '[{"property": "status", "op": "near"}]'},
            "filters",
            "filters.0",
        ),
    ],
)
def test_a_meter_that_does_not_fit_together_is_told(
    desk: Client, db: None, fields: dict[str, str], field: str, message: str
) -> None:
    response = desk.post(page("metering_meter", "add"), METER | fields)

    assert errors(response)[field][0].startswith(message)
    assert not Meter.objects.exists()


def test_a_meter_that_counted_gets_a_next_version(desk: Client, shop: Customer) -> None:
    meter = Meter.objects.get()
    form = {"name": meter.name, "event_type": "other", "aggregation": "count", "filters": "[]"}

    response = desk.post(page("metering_meter", "change", meter.pk), form, follow=True)

    assert "Version 2 was made" in response.content.decode()
    assert Meter.objects.current().get().event_type == "other"
    meter.refresh_from_db()
    assert meter.event_type == "api.request"
    assert desk.post(page("metering_meter", "change", meter.pk), form).status_code == 403
    assert Meter.objects.count() == 2
