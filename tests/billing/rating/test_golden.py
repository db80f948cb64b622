"""Prices that other billing systems publish, each with its source, through both front doors."""

import json
from typing import Any

import pytest

from billing.rating.price_models import PRICE_MODELS
from billing.rating.quotes import quote
from tests.billing.rating.golden import GOLDEN_CASES
from tests.billing.rating.test_quote_command import run_quote


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    """Return the results by case, all printed by one `manage.py quote -`."""
    finished = run_quote("-", lines=[json.dumps(case["quote"]) for case in GOLDEN_CASES])
    assert finished.returncode == 0, finished.stderr
    results = [json.loads(line) for line in finished.stdout.splitlines()]
    return dict(zip((case["id"] for case in GOLDEN_CASES), results, strict=True))


def relevant(result: dict[str, Any], expect: dict[str, Any]) -> dict[str, Any]:
    amounts = [line["amount"] for line in result["lines"]]
    return {name: amounts if name == "lines" else result[name] for name in expect}


@pytest.mark.parametrize("case", GOLDEN_CASES, ids=lambda case: str(case["id"]))
def test_quote_agrees_with_the_source(case: dict[str, Any]) -> None:
    assert relevant(quote(case["quote"]), case["expect"]) == case["expect"]


@pytest.mark.parametrize("case", GOLDEN_CASES, ids=lambda case: str(case["id"]))
def test_manage_py_quote_agrees_with_the_source(
    case: dict[str, Any], printed: dict[str, Any]
) -> None:
    assert relevant(printed[case["id"]], case["expect"]) == case["expect"]


def test_every_model_has_golden_cases_and_every_case_its_source() -> None:
    models = {price["model"] for case in GOLDEN_CASES for price in case["quote"]["prices"]}
    assert models == PRICE_MODELS.keys()
    assert all(case["source"] and case["expect"] for case in GOLDEN_CASES)
