"""The nightly run brings what it issued to Stripe."""

import pytest

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush, StripeReconciliation
from billing.services import nightly
from billing.services.nightly import run_nightly
from billing.services.nightly_batches import NIGHTLY_LOCK
from config.errors import DomainError
from tests import factories
from tests.billing.plans import FEE, publish_plan, subscribe
from tests.billing.stripe import cases
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def configured(gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "gateway_from_settings", lambda: gateway)


def test_a_run_pushes_what_it_issued_and_leaves_drafts_at_home(gateway: StripeGateway) -> None:
    subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    done = run_nightly(at=instant("2026-03-01"))
    push = StripePush.objects.get()
    assert (done.invoices_pushed, done.failures, push.invoice.number) == (1, [], "INV-000001")
    assert gateway.retrieve_invoice(push.stripe_invoice_id).total == push.invoice.total
    assert Invoice.objects.filter(status="draft").count() == 1


def test_a_second_run_pushes_nothing_again() -> None:
    subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    run_nightly(at=instant("2026-03-01"))
    again = run_nightly(at=instant("2026-03-01T01:00"))
    assert (again.invoices_pushed, again.failures, StripePush.objects.count()) == (0, [], 1)


def test_an_invoice_that_stripe_does_not_take_is_reported_and_stops_no_other() -> None:
    """Stripe has no numbers for gold; the dollars get there."""
    gold = publish_plan(FEE, key="gold", currency="XAU")
    subscribe(factories.make_customer(currency="XAU"), "2026-01-01", gold)
    subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    done = run_nightly(at=instant("2026-03-01"))
    [failure] = done.failures
    assert (failure["invoice"], done.invoices_pushed, done.status) == (
        "INV-000001",
        1,
        "incomplete",
    )
    assert "XAU" in failure["message"]


def test_s40_a_run_started_while_another_is_under_way_leaves(gateway: StripeGateway) -> None:
    subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    with cases.held_elsewhere(NIGHTLY_LOCK), pytest.raises(DomainError, match="under way"):
        run_nightly(at=instant("2026-03-01"))
    assert not StripePush.objects.exists()
    assert run_nightly(at=instant("2026-03-01")).invoices_pushed == 1


def test_a_run_compares_with_stripe_what_it_has_pushed() -> None:
    subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    run_nightly(at=instant("2026-03-01"))
    assert StripeReconciliation.objects.get().is_clean
