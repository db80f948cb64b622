"""`manage.py backtest` and the admin's page of it."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from billing.models import PlanVersion
from billing.services.catalog import publish_new_version
from customers.models import Customer
from tests.billing.plans import FEE, publish_plan, subscribe
from tests.billing.usage import report_calls
from tests.factories import NOW, make_staff

WINDOW = ("--since", "2026-01-01", "--until", "2026-03-01")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new(acme: Customer) -> PlanVersion:
    version = publish_plan()
    subscribe(acme, "2026-01-01", version)
    report_calls(acme, "2026-01-10", 12)
    return publish_new_version(plan=version.plan, at=NOW, prices=[FEE | {"amount": "20"}])


@pytest.fixture
def desk(client: Client) -> Client:
    client.force_login(make_staff())
    return client


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("backtest", *arguments, *WINDOW, stdout=output, stderr=output)
    return output.getvalue()


def test_the_command_prints_each_customer_and_the_total() -> None:
    printed = run("--plan", "pro")
    assert "Pro v2 in USD" in printed
    acme, total = (line.split() for line in printed.splitlines()[1:3])
    assert acme[:4] == ["acme", "$88.00", "$40.00", "-$48.00"]
    assert total == ["total", "$88.00", "$40.00", "-$48.00"]
    assert "0 would have paid more, 1 less." in printed


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    run("--plan", "pro", "--plan-version", "1", "--csv", str(path))
    assert path.read_text().splitlines() == [
        "customer,name,plans,currency,own_amount,other_amount,difference",
        "acme,Acme,Pro v1,USD,88.00,88.00,0.00",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "nothing"], "no plan 'nothing'"),
        (["--plan", "pro", "--plan-version", "9"], "no version 9"),
        (["--plan", "pro", "--currency", "JPY"], "not sold in JPY"),
        (["--plan", "pro", "--from-plan", "x"], "no plan 'x'"),
        (["--plan", "pro", "--csv", "/nowhere/x.csv"], "cannot be written"),
        (["--plan", "pro", "--since", "yesterday"], "is no day"),
        (["--plan", "pro", "--at", "2025-01-01T00:00:00Z"], "a day that is past"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("backtest", *WINDOW, *arguments, stdout=StringIO())


def ask(desk: Client, **query: Any) -> Any:
    window = {"since": "2026-01-01", "until": "2026-03-01"}
    return desk.get(reverse("admin:back_test"), window | query)


def test_the_page_shows_totals_and_customers(desk: Client, new: PlanVersion) -> None:
    text = ask(desk, version=new.pk).content.decode()
    assert "-$48.00" in text
    assert "tp-meter-less" in text
    assert desk.get(reverse("admin:back_test")).status_code == 200


def test_the_page_gives_a_file(desk: Client, new: PlanVersion) -> None:
    response = ask(desk, version=new.pk, format="csv")
    body = b"".join(response.streaming_content).decode()
    assert body.splitlines()[1] == "acme,Acme,Pro v1,USD,88.00,40.00,-48.00"


def test_the_page_tells_of_a_window_that_is_none(desk: Client, new: PlanVersion) -> None:
    form = ask(desk, version=new.pk, until="2026-01-01").context["form"]
    assert "ends before it begins" in form.errors["until"][0]
