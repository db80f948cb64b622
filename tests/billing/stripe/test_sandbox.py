"""The sandbox behaves as Stripe does: each test names the rule of docs/stripe-rules.md it holds."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, override

import pytest
import stripe

from billing.sandbox import actions, control
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from tests.billing.stripe import cases


class Shop:
    """A client of the sandbox that makes up a key for every request."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self.sandbox = sandbox
        self.api = cases.gateway_to(sandbox).api
        self.made = 0

    def key(self) -> Any:
        self.made += 1
        return {"idempotency_key": f"shop:{id(self)}:{self.made}"}

    def customer(self, **params: Any) -> stripe.Customer:
        settled: Any = {"name": "Acme", "email": "acme@example.com"} | params
        return self.api.customers.create(settled, self.key())

    def draft(self, **params: Any) -> stripe.Invoice:
        customer = params.pop("customer", None) or self.customer().id
        settled: Any = {"customer": customer, "collection_method": "send_invoice"}
        settled |= {"days_until_due": 14, "discounts": "", "currency": "usd"} | params
        return self.api.invoices.create(settled, self.key())

    def add(self, invoice: stripe.Invoice, *lines: dict[str, Any]) -> stripe.Invoice:
        params: Any = {"lines": list(lines)}
        return self.api.invoices.add_lines(invoice.id, params, self.key())

    def open(self, **params: Any) -> stripe.Invoice:
        draft = self.draft(**params)
        self.add(draft, {"amount": 1000, "description": "x"})
        return self.api.invoices.finalize_invoice(draft.id, {}, self.key())


@pytest.fixture(scope="module")
def strict_server() -> Iterator[StripeSandbox]:
    """A server of its own: much of what is sent to it here is wrong on purpose."""
    with StripeSandbox(first_delay_ms=20) as server:
        yield server


@pytest.fixture
def sandbox(strict_server: StripeSandbox) -> StripeSandbox:
    control.reset(strict_server.api)
    return strict_server


@pytest.fixture
def shop(sandbox: StripeSandbox) -> Shop:
    return Shop(sandbox)


def refusal(act: Callable[[], object]) -> tuple[int | None, str, str]:
    """Return status, code and message of what Stripe refuses."""
    with pytest.raises(stripe.StripeError) as caught:
        act()
    error = caught.value
    code = str(getattr(error.error, "code", "") or "")
    return error.http_status, code, str(error.user_message)


def test_r1_a_deleted_customer_says_so_and_takes_no_invoice(shop: Shop) -> None:
    customer = shop.customer()
    shop.api.customers.delete(customer.id)
    assert shop.api.customers.retrieve(customer.id).deleted is True
    assert refusal(lambda: shop.draft(customer=customer.id))[:2] == (400, "resource_missing")
    assert refusal(lambda: shop.api.customers.retrieve("cus_no"))[:2] == (404, "resource_missing")


@pytest.mark.parametrize(
    "terms",
    [
        {"collection_method": "send_invoice", "days_until_due": ""},
        {"collection_method": "send_invoice", "due_date": 1_900_000_000},
        {"collection_method": "charge_automatically"},
    ],
)
def test_r2_a_mailed_invoice_has_one_due_date_and_a_charged_one_none(
    shop: Shop, terms: dict[str, Any]
) -> None:
    assert refusal(lambda: shop.draft(**terms))[0] == 400


def test_r3_a_discount_not_mentioned_is_inherited(shop: Shop) -> None:
    customer = shop.customer()
    actions.give_discount(shop.sandbox.account, customer.id, 10)
    params: Any = {"customer": customer.id}
    heir = shop.api.invoices.create(params, shop.key())
    assert shop.add(heir, {"amount": 1000}).total == 900
    assert shop.add(shop.draft(customer=customer.id), {"amount": 1000}).total == 1000


def test_r4_a_finalized_invoice_changes_its_metadata_alone(shop: Shop) -> None:
    invoice = shop.open()
    update = shop.api.invoices.update
    changed = update(invoice.id, {"metadata": {"a": "b"}}, shop.key()).metadata
    assert changed
    assert changed["a"] == "b"
    late = refusal(lambda: update(invoice.id, {"description": "late"}, shop.key()))
    assert late[:2] == (400, "invoice_not_editable")
    assert refusal(lambda: shop.add(invoice, {"amount": 1}))[1] == "invoice_not_editable"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"amount": 1, "quantity": 2}, "parameters_exclusive"),
        ({"description": "no amount"}, "parameter_missing"),
        ({"amount": 1, "period": {"start": 2, "end": 1}}, ""),
        ({"amount": 1, "currency": "usd"}, "parameter_unknown"),
        ({"amount": "1.5"}, "parameter_invalid_integer"),
    ],
)
def test_r5_a_line_has_one_amount_and_a_period_that_does_not_end_before_it_starts(
    shop: Shop, line: dict[str, Any], code: str
) -> None:
    draft = shop.draft()
    assert refusal(lambda: shop.add(draft, line))[:2] == (400, code)


def test_r5_a_call_takes_100_lines_and_an_invoice_250(shop: Shop) -> None:
    draft, many = shop.draft(), [{"amount": 1}] * 100
    assert refusal(lambda: shop.add(draft, *many, {"amount": 1}))[0] == 400
    shop.add(draft, *many)
    shop.add(draft, *many)
    assert refusal(lambda: shop.add(draft, *many))[0] == 400
    assert shop.add(draft, *many[:50]).total == 250


def test_r6_only_a_draft_with_lines_is_finalized(shop: Shop) -> None:
    finalize = shop.api.invoices.finalize_invoice
    empty = shop.draft()
    nothing = refusal(lambda: finalize(empty.id, {}, shop.key()))
    assert nothing[:2] == (400, "invoice_no_customer_line_items")
    again = refusal(lambda: finalize(shop.open().id, {}, shop.key()))
    assert again[2].startswith("This invoice is already finalized")


@pytest.mark.parametrize("verb", ["send_invoice", "pay"])
def test_r7_sending_or_paying_a_draft_finalizes_it(shop: Shop, verb: str) -> None:
    draft = shop.draft()
    shop.add(draft, {"amount": 1000})
    params: Any = {"payment_method": "pm_card_visa"} if verb == "pay" else {}
    invoice = getattr(shop.api.invoices, verb)(draft.id, params, shop.key())
    assert invoice.status == ("paid" if verb == "pay" else "open")
    assert invoice.number


def test_r8_a_declined_card_is_saved_under_its_key_and_leaves_the_invoice_open(shop: Shop) -> None:
    invoice, key = shop.open(), shop.key()
    pay, declined = shop.api.invoices.pay, {"payment_method": "pm_card_chargeDeclined"}
    for _ in range(2):
        assert refusal(lambda: pay(invoice.id, declined, key))[:2] == (402, "card_declined")  # type: ignore[arg-type]
    found = shop.api.invoices.retrieve(invoice.id)
    assert (found.status, found.attempt_count) == ("open", 1)
    pay(invoice.id, {"payment_method": "pm_card_visa"}, shop.key())
    assert refusal(lambda: pay(invoice.id, {}, shop.key())) == (400, "", "Invoice is already paid")


def test_r8_without_a_payment_method_nothing_is_charged(shop: Shop) -> None:
    invoice = shop.open()
    assert refusal(lambda: shop.api.invoices.pay(invoice.id, {}, shop.key()))[0] == 400
    customer: Any = {"invoice_settings": {"default_payment_method": "pm_card_visa"}}
    shop.api.customers.update(str(invoice.customer), customer, shop.key())
    assert shop.api.invoices.pay(invoice.id, {}, shop.key()).status == "paid"


def test_r9_to_r11_each_state_has_its_exits(shop: Shop) -> None:
    invoices, key = shop.api.invoices, shop.key
    paid = invoices.pay(shop.open().id, {"paid_out_of_band": True}, key())
    assert refusal(lambda: invoices.void_invoice(paid.id, {}, key()))[0] == 400
    assert refusal(lambda: invoices.mark_uncollectible(paid.id, {}, key()))[0] == 400
    assert refusal(lambda: invoices.delete(paid.id))[0] == 400
    lost = invoices.mark_uncollectible(shop.open().id, {}, key())
    assert invoices.void_invoice(lost.id, {}, key()).status == "void"
    assert refusal(lambda: invoices.pay(lost.id, {}, key()))[0] == 400
    assert refusal(lambda: invoices.send_invoice(lost.id, {}, key()))[0] == 400
    assert invoices.delete(shop.draft().id).deleted is True


def test_r12_a_key_repeats_its_answer_for_a_day_and_then_acts_again(shop: Shop) -> None:
    key = shop.key()
    first = shop.api.customers.create({"name": "A"}, key)
    assert shop.api.customers.create({"name": "A"}, key).id == first.id
    control.handle(shop.sandbox.api, "POST", "/_sandbox/clock", {"advance": 24 * 3600 + 1})
    assert shop.api.customers.create({"name": "A"}, key).id != first.id


def test_r12_a_key_takes_no_other_parameters(sandbox: StripeSandbox) -> None:
    keys = sandbox.account.keys
    keys.save("k", "POST", "/v1/customers", "name=A", status=200, answer={})
    with pytest.raises(Exception, match="can only be used with the same parameters"):
        keys.begin("k", "POST", "/v1/customers", "name=B")


def test_r12_a_saved_500_is_repeated_and_a_refused_parameter_is_not_saved(shop: Shop) -> None:
    shop.sandbox.api.faults.add(Fault(Kind.SAVED_SERVER_ERROR_BEFORE))
    key = shop.key()
    for _ in range(2):
        assert refusal(lambda: shop.api.customers.create({"name": "A"}, key))[0] == 500
    shop.sandbox.api.faults.add(Fault(Kind.RATE_LIMIT))
    key = shop.key()
    assert refusal(lambda: shop.api.customers.create({"name": "A"}, key))[0] == 429
    assert shop.api.customers.create({"name": "A"}, key).name == "A"


def test_r12_a_key_in_use_is_refused_until_its_request_is_answered(shop: Shop) -> None:
    fault = Fault(Kind.SLOW, seconds=25)
    shop.sandbox.api.faults.add(fault)
    key = shop.key()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shop.api.customers.create, {"name": "A"}, key)
        while not shop.sandbox.account.keys.in_use:
            time.sleep(0.01)
        busy = refusal(lambda: shop.api.customers.create({"name": "A"}, key))
        assert busy[:2] == (409, "idempotency_key_in_use")
        assert shop.api.customers.create({"name": "B"}, shop.key()).name == "B"
        fault.over.set()
    assert shop.api.customers.create({"name": "A"}, key).id == slow.result().id


def test_r12_a_key_has_at_most_255_characters(shop: Shop) -> None:
    long: Any = {"idempotency_key": "k" * 256}
    assert refusal(lambda: shop.api.customers.create({"name": "A"}, long))[0] == 400


def test_r13_lists_are_newest_first_filtered_and_paged(shop: Shop) -> None:
    made = [shop.customer(email=f"{number % 2}@example.com").id for number in range(12)]
    assert [item.id for item in shop.api.customers.list().auto_paging_iter()] == made[::-1]
    assert len(shop.api.customers.list().data) == 10
    odd = shop.api.customers.list({"email": "1@example.com"})
    assert [item.id for item in odd.data] == made[::-2]
    before = shop.api.customers.list({"ending_before": made[0], "limit": 2})
    assert [item.id for item in before.data] == made[2:0:-1]
    assert refusal(lambda: shop.api.customers.list({"limit": 101}))[0] == 400
    now = shop.sandbox.account.now()
    assert shop.api.customers.list({"created": {"gt": now}}).data == []
    assert shop.api.customers.list({"created": now - 9999}).data == []


def test_r14_expand_only_fields_are_absent_until_expanded(shop: Shop) -> None:
    invoice = shop.open()
    shop.api.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}, shop.key())
    assert "payments" not in shop.api.invoices.retrieve(invoice.id)
    assert "tax_ids" not in shop.customer()
    expanded = shop.api.invoices.retrieve(invoice.id, {"expand": ["payments"]})
    assert expanded.payments
    assert expanded.payments.data[0].amount_paid == 1000
    odd = refusal(lambda: shop.api.invoices.retrieve(invoice.id, {"expand": ["charge"]}))
    assert odd[0] == 400


def test_r15_a_draft_with_auto_advance_finalizes_itself_after_an_hour(shop: Shop) -> None:
    draft = shop.draft(auto_advance=True)
    shop.add(draft, {"amount": 100})
    control.handle(shop.sandbox.api, "POST", "/_sandbox/clock", {"advance": 3602})
    assert shop.api.invoices.retrieve(draft.id).status == "open"


def test_r16_a_credit_balance_is_taken_off_when_an_invoice_is_finalized(shop: Shop) -> None:
    invoice = shop.open(customer=shop.customer(balance=-300).id)
    assert (invoice.total, invoice.amount_due) == (1000, 700)
    assert shop.api.customers.retrieve(str(invoice.customer)).balance == 0


def test_r17_numbers_run_within_a_customer_unless_given(shop: Shop) -> None:
    customer = shop.customer(invoice_prefix="ACME").id
    numbers = [shop.open(customer=customer).number for _ in range(2)]
    assert numbers == ["ACME-0001", "ACME-0002"]
    assert shop.open(customer=customer, number="INV-7").number == "INV-7"


def test_r21_taxes_of_lines_are_added_as_given(shop: Shop) -> None:
    rate = {"display_name": "VAT", "percentage": 20, "inclusive": False}
    tax = {"amount": 13, "taxable_amount": 66, "tax_rate_data": rate}
    assert shop.add(shop.draft(), {"amount": 66, "tax_amounts": [tax]}).total == 79


def test_events_are_listed_by_type_and_by_whether_they_arrived(shop: Shop) -> None:
    shop.open()
    events = shop.api.events
    assert [event.type for event in events.list({"type": "invoice.finalized"}).data] == [
        "invoice.finalized"
    ]
    assert events.list({"delivery_success": False}).data == []
    assert events.retrieve(events.list().data[0].id).type == "invoice.finalized"


def test_endpoints_are_made_listed_and_deleted(shop: Shop) -> None:
    endpoints = shop.api.webhook_endpoints
    made = endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]}, shop.key())
    assert str(made.secret).startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id)
    assert [item.id for item in endpoints.list().data] == [made.id]
    assert endpoints.delete(made.id).deleted is True
    bad: Any = {"url": "ftp://x", "enabled_events": ["*"]}
    assert refusal(lambda: endpoints.create(bad, shop.key()))[0] == 400


class Receiver(BaseHTTPRequestHandler):
    """Answers every webhook with 204 and keeps its body."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_webhook_nobody_answers_is_sent_again_until_somebody_does(shop: Shop) -> None:
    with HTTPServer(("127.0.0.1", 0), Receiver, bind_and_activate=False) as receiver:
        receiver.server_bind()
        url = f"http://127.0.0.1:{receiver.server_address[1]}/hook"
        shop.sandbox.add_endpoint(url, "whsec_x", ["customer.created"])
        shop.customer()
        while not any(item.attempt for item in shop.sandbox.deliverer.queue):
            time.sleep(0.01)
        (event,) = shop.api.events.list({"delivery_success": False}).data
        receiver.server_activate()
        threading.Thread(target=receiver.handle_request).start()
        assert shop.sandbox.deliverer.wait_until_idle()
    assert [json.loads(body)["id"] for body in Receiver.bodies] == [event.id]
    assert shop.api.events.retrieve(event.id).pending_webhooks == 0


def test_the_account_and_a_portal_session_can_be_asked_for(shop: Shop) -> None:
    assert shop.api.accounts.retrieve_current().id.startswith("acct_")
    customer = shop.customer()
    session = shop.api.billing_portal.sessions.create({"customer": customer.id}, shop.key())
    assert session.url == f"{shop.sandbox.url}/portal/{customer.id}"


def test_the_state_outlives_the_process_and_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    with StripeSandbox(state=path) as sandbox:
        shop = Shop(sandbox)
        invoice = shop.open()
        shop.api.customers.delete(shop.customer().id)
        with pytest.raises(BlockingIOError):
            StripeSandbox(state=path)
    with path.open("a") as file:
        file.write('[["customer", "cus_torn"')
    with StripeSandbox(state=path) as sandbox:
        assert Shop(sandbox).api.invoices.retrieve(invoice.id).status == "open"
        assert len(cases.records(sandbox, "customer")) == 2


def test_every_request_can_be_logged(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    with StripeSandbox(log=path) as sandbox:
        Shop(sandbox).customer()
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["method"], line["path"]) == ("POST", "/v1/customers")
    assert line["version"] == stripe.api_version


def test_strangers_other_versions_and_unknown_paths_are_refused(sandbox: StripeSandbox) -> None:
    def client(key: str, version: str | None = None) -> stripe.StripeClient:
        return stripe.StripeClient(key, stripe_version=version, base_addresses={"api": sandbox.url})

    assert refusal(client("sk_live_x").v1.invoices.list)[0] == 401
    assert refusal(client("sk_test_x", "2020-08-27").v1.invoices.list)[0] == 400
    assert refusal(client("sk_test_x").v1.coupons.list)[0] == 404
