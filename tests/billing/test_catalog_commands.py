"""`manage.py apply_catalog` and `manage.py export_catalog`, as people type them."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.models import Coupon, Plan, PlanVersion

CATALOG = """
meters:
  - {key: calls, name: API calls, event_type: api.request, aggregation: count}
plans:
  - key: pro
    name: Pro
    prices: [{key: calls, meter: calls, model: per_unit, unit_amount: 0.002}]
"""

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return path


def run(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *arguments, stdout=output, stderr=output)
    return output.getvalue()


def refusal(*arguments: str) -> tuple[str, str]:
    output = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("apply_catalog", *arguments, stdout=output, stderr=output)
    return str(refused.value), output.getvalue()


def test_a_catalogue_is_applied_once_and_then_says_so(catalog: Path) -> None:
    first = run("apply_catalog", str(catalog))
    assert "+ meter calls\n+ plan pro in USD: version 1\n2 created, 0 changed" in first
    assert "0 created, 0 changed, 2 unchanged." in run("apply_catalog", str(catalog))


def test_a_dry_run_prints_the_difference_alone(catalog: Path) -> None:
    printed = run("apply_catalog", str(catalog), "--dry-run")
    assert "+ plan pro in USD" in printed
    assert "nothing was changed" in printed
    assert not Plan.objects.exists()


def test_a_published_version_is_not_changed_but_followed(catalog: Path) -> None:
    run("apply_catalog", str(catalog))
    catalog.write_text(CATALOG.replace("0.002", "0.001"))
    message, printed = refusal(str(catalog))
    assert "    prices.calls.unit_amount: 0.002 -> 0.001" in printed
    assert "plans.0: Version 1 of plan pro is published and never changes." in printed
    assert (message, PlanVersion.objects.count()) == ("Nothing was changed: 1 entry is refused.", 1)
    printed = run("apply_catalog", str(catalog), "--new-versions")
    assert "~ plan pro in USD: version 2 follows version 1" in printed


def test_the_exit_and_the_words_tell_what_is_wrong(catalog: Path, tmp_path: Path) -> None:
    catalog.write_text(CATALOG.replace("per_unit", "per_units"))
    assert "plans.0.prices.0.model: Write" in refusal(str(catalog))[1]
    catalog.write_text("plans: [")
    assert "no YAML that can be read" in refusal(str(catalog))[0]
    catalog.write_bytes(b"\xff\xfe")
    assert "no text in UTF-8" in refusal(str(catalog))[0]
    assert "cannot be read" in refusal(str(tmp_path / "nothing.yaml"))[0]


def test_what_is_exported_is_applied_without_a_change(catalog: Path) -> None:
    run("apply_catalog", str(catalog))
    catalog.write_text(run("export_catalog"))
    assert "unit_amount: '0.002'" in catalog.read_text()
    assert "0 created, 0 changed, 2 unchanged." in run("apply_catalog", str(catalog))


COUPONS = """
coupons:
  - {key: welcome, name: Welcome, percent_off: "12.5", duration: repeating, duration_months: 3}
  - {key: ten, amount_off: "10.00", currency: USD, max_per_customer: null, valid_until: 2030-01-01T00:00:00Z}
"""


def test_coupons_are_made_once_and_exported_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "coupons.yaml"
    path.write_text(COUPONS)
    assert "2 created" in run("apply_catalog", str(path))
    assert "2 unchanged" in run("apply_catalog", str(path))
    ten = Coupon.objects.get(key="ten")
    assert (ten.amount_off, ten.max_per_customer, ten.is_active) == (10, None, True)

    path.write_text(run("export_catalog"))
    assert "2 unchanged" in run("apply_catalog", str(path))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"12.5"', '"20"', "never changes"),
        ("2030-01-01T00:00:00Z", "2030-01-01", "with its offset"),
        ("currency: USD, ", "", "currency"),
        ("name: Welcome", "nmae: Welcome", "nmae"),
    ],
)
def test_a_coupon_that_breaks_a_promise_or_is_none_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = tmp_path / "coupons.yaml"
    path.write_text(COUPONS)
    if words == "never changes":
        run("apply_catalog", str(path))
    path.write_text(COUPONS.replace(old, new))

    told = " ".join(refusal(str(path)))
    assert words in told
