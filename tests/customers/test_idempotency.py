"""`Idempotency-Key`: what is sent again under the same key is done once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from customers import services
from customers.models import ApiKey, Customer, RememberedAnswer
from tests.factories import make_key

pytestmark = pytest.mark.django_db

CUSTOMERS = "/api/v1/customers"
GLOBEX = {"key": "globex", "name": "Globex"}


def post(client: APIClient, body: dict[str, Any], key: str = "try-1", url: str = CUSTOMERS) -> Any:
    return client.post(url, body, format="json", headers={"Idempotency-Key": key})


def test_a_repeated_request_is_done_once_and_answered_the_same(operator: APIClient) -> None:
    first, second = post(operator, GLOBEX), post(operator, GLOBEX)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Customer.objects.count() == 1


def test_without_a_key_or_under_another_it_is_another_request(operator: APIClient) -> None:
    post(operator, GLOBEX)
    assert operator.post(CUSTOMERS, GLOBEX, format="json").status_code == 409
    assert post(operator, GLOBEX, "try-2").status_code == 409


def test_the_same_key_for_another_request_is_refused(operator: APIClient) -> None:
    post(operator, GLOBEX)
    for answer in (
        post(operator, GLOBEX | {"name": "Other"}),
        post(operator, GLOBEX, url=f"{CUSTOMERS}?x=1"),
    ):
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "idempotency_key_reused"


def test_lines_answered_one_by_one_are_answered_again(operator: APIClient) -> None:
    headers = {"Idempotency-Key": "try-1"}
    lines, url = "application/x-ndjson", "/api/v1/quotes"
    first, second = (
        operator.post(url, b"{}", content_type=lines, headers=headers).getvalue() for _ in range(2)
    )
    assert first == second != b""
    refused = operator.post(url, b"{}", content_type="application/json", headers=headers)
    assert refused.status_code == 422


def test_each_api_key_has_names_of_its_own(
    operator: APIClient, api: Callable[[str], APIClient]
) -> None:
    post(operator, GLOBEX)
    other = api(make_key().secret)
    assert post(other, {"key": "initech", "name": "Initech"}).status_code == 201


def test_what_was_refused_may_be_put_right_under_the_same_key(operator: APIClient) -> None:
    assert post(operator, {"key": "globex"}).status_code == 422
    assert post(operator, GLOBEX).status_code == 201


def test_the_secret_of_a_key_is_not_remembered(operator: APIClient, acme: Customer) -> None:
    asked = {"customer": "acme", "name": "web"}
    first, second = (post(operator, asked, url="/api/v1/api-keys").json() for _ in range(2))
    assert first["secret"] not in RememberedAnswer.objects.get().body
    assert second == first | {"secret": None}
    assert ApiKey.objects.filter(customer=acme).count() == 1


def test_work_whose_answer_is_not_remembered_is_not_done(
    operator: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(services, "remember_answer", fail)
    with pytest.raises(ZeroDivisionError):
        post(operator, GLOBEX)
    assert not Customer.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(operator: APIClient, key: str) -> None:
    answer = post(operator, GLOBEX, key)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_idempotency_key"


def test_who_may_not_ask_at_all_hears_that(api: Callable[[str], APIClient]) -> None:
    assert post(api("tp_000000000000_wrong"), GLOBEX).status_code == 401
    assert post(api(""), GLOBEX).status_code == 401


def test_an_answer_is_forgotten_after_a_day(operator: APIClient) -> None:
    post(operator, GLOBEX)
    now = timezone.now()
    assert services.forget_answers(at=now) == 0
    RememberedAnswer.objects.update(created_at=now - timedelta(days=1))
    assert post(operator, {"key": "initech", "name": "Initech"}).status_code == 201
    assert services.forget_answers(at=now + timedelta(days=2)) == 1


@contextmanager
def under_way(api_key: ApiKey, name: str) -> Iterator[None]:
    """Be at work under this name on another connection."""
    begun, end = Event(), Event()

    def work() -> None:
        with transaction.atomic():
            assert services.take_answer_lock(api_key=api_key, name=name)
            begun.set()
            end.wait(120)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            assert begun.wait(120)
            yield
        finally:
            end.set()
        working.result()


@pytest.mark.django_db(transaction=True)
def test_a_twin_of_a_request_that_is_under_way_has_to_wait(
    api: Callable[[str], APIClient],
) -> None:
    issued = make_key()
    client = api(issued.secret)
    with under_way(issued.api_key, "try-1"):
        answer = post(client, GLOBEX)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "request_in_progress")
        assert int(answer["Retry-After"]) > 0
        assert post(client, {"key": "initech", "name": "Initech"}, "try-2").status_code == 201
    assert post(client, GLOBEX).status_code == 201
