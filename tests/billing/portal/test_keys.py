"""API keys in the portal: made once, shown once, ended for good."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from customers.models import ApiKey, Customer, User
from customers.services import authenticate_api_key
from tests import factories

SECRET = re.compile(r"tp_[0-9a-f]{12}_[\w-]{43}")


def create(client: Client, **fields: object) -> Any:
    form = {"name": "Server", "scopes": ["usage:read"], "form_id": uuid4()} | fields
    return client.post("/portal/acme/keys/new/", form)


def test_the_secret_of_a_new_key_is_shown_once_and_works(client: Client, now: datetime) -> None:
    page = create(client)

    [secret] = set(SECRET.findall(page.text))
    api_key = authenticate_api_key(secret=secret, at=now)
    assert api_key == ApiKey.objects.get(name="Server", scopes=["usage:read"])
    assert "no-store" in page["Cache-Control"]
    assert not SECRET.search(client.get("/portal/acme/keys/").text)


def test_the_secret_is_kept_nowhere(client: Client) -> None:
    [secret] = set(SECRET.findall(create(client).text))

    assert secret not in str(dict(client.session))
    assert secret.rsplit("_", 1)[1].encode() not in bytes(ApiKey.objects.get().secret_digest)


def test_sending_the_same_form_again_makes_no_second_key(client: Client) -> None:
    form_id = uuid4()
    create(client, form_id=form_id)

    again = create(client, form_id=form_id)

    assert again["Location"] == "/portal/acme/keys/"
    assert ApiKey.objects.count() == 1
    assert "not shown again" in client.get("/portal/acme/keys/").text


def test_each_blank_form_makes_a_key_of_its_own(client: Client) -> None:
    pages = [client.get("/portal/acme/keys/new/").text for _ in range(2)]
    form_ids = [re.search(r'name="form_id" value="([^"]+)"', page) for page in pages]

    for found in form_ids:
        assert found is not None
        create(client, form_id=found[1])

    assert ApiKey.objects.count() == 2


def test_a_key_remembers_who_made_it(client: Client, owner: User) -> None:
    create(client)

    assert ApiKey.objects.get().created_by == owner


def test_a_key_works_until_its_last_day_ends_in_the_customers_zone(
    client: Client, acme: Customer
) -> None:
    Customer.objects.update(time_zone="Europe/Paris")

    create(client, expires_on="2026-06-30")

    assert ApiKey.objects.get().expires_at == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"scopes": []}, "Choose at least one thing"),
        ({"scopes": ["admin"]}, "not one of the available choices"),
        ({"expires_on": "2026-03-14"}, "must lie in the future"),
        ({"expires_on": "tomorrow"}, "Enter a valid date"),
        ({"expires_on": "9999-12-31"}, "Choose an earlier day"),
        ({"form_id": "x"}, "Reload the page"),
    ],
)
def test_a_wrong_form_is_shown_again_with_the_reason(
    client: Client, fields: dict[str, object], words: str
) -> None:
    page = create(client, **fields)

    assert page.status_code == 422
    assert words in page.text
    assert not ApiKey.objects.exists()


def test_a_revoked_key_is_dead_at_once(client: Client, acme: Customer, now: datetime) -> None:
    issued = factories.make_key(acme)
    page = f"/portal/acme/keys/{issued.api_key.pk}/revoke/"
    assert issued.api_key.prefix in client.get(page).text

    client.post(page)

    assert authenticate_api_key(secret=issued.secret, at=now) is None
    assert "is revoked and no longer works" in client.get("/portal/acme/keys/").text


def test_revoking_twice_says_so(client: Client, key: ApiKey) -> None:
    page = f"/portal/acme/keys/{key.pk}/revoke/"
    client.post(page)

    assert "already revoked" in client.post(page, follow=True).text
    assert "revoked already" in client.get(page).text


def test_the_list_tells_active_expired_and_revoked_keys_apart(
    client: Client, acme: Customer, now: datetime
) -> None:
    keys = [factories.make_key(acme).api_key for _ in range(3)]
    ApiKey.objects.filter(pk=keys[0].pk).update(expires_at=now - timedelta(seconds=1))
    ApiKey.objects.filter(pk=keys[1].pk).update(revoked_at=now, last_used_at=now)

    text = client.get("/portal/acme/keys/").text

    badges = re.findall(r'class="badge (\w+)"', text)
    assert badges == ["active", "revoked", "expired"]
    assert "Mar 15, 2026, 12:00" in text
    assert text.count(">Revoke<") == 2


@pytest.mark.parametrize(("role", "may"), [("owner", True), ("developer", True), ("viewer", False)])
def test_the_list_offers_writing_to_the_roles_that_may(
    acme: Customer, role: str, may: bool
) -> None:
    client = Client()
    client.force_login(factories.make_member(acme, role=role))

    page = client.get("/portal/acme/keys/").text

    assert ("Create a key" in page) is may
    assert ("Viewers cannot change anything" in page) is not may


def test_a_customer_without_keys_is_told_what_they_are_for(client: Client) -> None:
    assert "No keys yet" in client.get("/portal/acme/keys/").text


def test_names_of_keys_are_text(client: Client) -> None:
    create(client, name="<script>alert(1)</script>")

    text = client.get("/portal/acme/keys/").text

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
