"""The sandbox's pages for people, its control API, and its command."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import stripe
from django.core.management import CommandError, call_command

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_push import push_invoice
from tests.billing.stripe import cases

type Reply = tuple[int, str, str]


def ask(sandbox: StripeSandbox, method: str, path: str, body: str = "", **headers: str) -> Reply:
    """Return status, Location and body of an answer."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc)
    connection.request(method, path, body.encode(), headers)
    response = connection.getresponse()
    found = (response.status, response.headers.get("Location", ""), response.read().decode())
    connection.close()
    return found


@pytest.fixture
def pushed(gateway: StripeGateway, invoice: Invoice, at: object) -> str:
    push_invoice(invoice=invoice, gateway=gateway, at=invoice.issued_at)  # type: ignore[arg-type]
    return StripePush.objects.get().stripe_invoice_id


def test_the_list_shows_every_invoice_with_what_can_be_done(
    sandbox: StripeSandbox, pushed: str, invoice: Invoice
) -> None:
    status, _, page = ask(sandbox, "GET", "/")
    assert status == 200
    assert f'<a href="/i/{pushed}">{invoice.number}</a>' in page
    assert "303.00 USD" in page
    assert page.count("<button") == 3


def test_an_empty_list_says_so(sandbox: StripeSandbox) -> None:
    assert "No invoice has been pushed here yet." in ask(sandbox, "GET", "/")[2]


@pytest.mark.parametrize(
    ("verb", "notice", "state"),
    [("pay", "Paid.", "Paid"), ("decline", "Your card was declined.", "Open"),
     ("void", "Voided.", "Void")],
)  # fmt: skip
def test_a_button_does_what_it_says_and_comes_back(
    sandbox: StripeSandbox, pushed: str, verb: str, notice: str, state: str
) -> None:
    status, location, _ = ask(sandbox, "POST", f"/i/{pushed}/{verb}", urlencode({"back": ""}))
    assert (status, urlsplit(location).path) == (303, f"/i/{pushed}")
    page = ask(sandbox, "GET", location)[2]
    assert notice in page
    assert f">{state}</span>" in page


def test_a_refused_button_says_why_and_returns_to_the_list(
    sandbox: StripeSandbox, pushed: str
) -> None:
    form = urlencode({"back": "/"})
    ask(sandbox, "POST", f"/i/{pushed}/pay", form)
    location = ask(sandbox, "POST", f"/i/{pushed}/pay", form)[1]
    assert location == "/?notice=Invoice%20is%20already%20paid"


def test_a_form_of_another_site_is_refused(sandbox: StripeSandbox, pushed: str) -> None:
    reply = ask(sandbox, "POST", f"/i/{pushed}/pay", Origin="http://evil.example")
    assert reply[0] == 403
    assert cases.records(sandbox, "invoice")[0]["status"] == "open"


def test_the_document_and_the_customers_portal_can_be_read(
    sandbox: StripeSandbox, pushed: str, invoice: Invoice
) -> None:
    assert str(invoice.number) in ask(sandbox, "GET", f"/i/{pushed}/pdf")[2]
    customer = cases.records(sandbox, "customer")[0]["id"]
    assert str(invoice.number) in ask(sandbox, "GET", f"/portal/{customer}")[2]


def test_what_is_not_there_is_not_found(sandbox: StripeSandbox) -> None:
    assert ask(sandbox, "GET", "/i/in_no")[0] == 404
    assert ask(sandbox, "GET", "/elsewhere")[0] == 404


def test_names_are_escaped(sandbox: StripeSandbox, gateway: StripeGateway) -> None:
    params = {"name": "<script>alert(1)</script>", "email": "x@example.com"}
    made = gateway.api.customers.create(params, {"idempotency_key": "test:escaped"})  # type: ignore[arg-type]
    page = ask(sandbox, "GET", f"/portal/{made.id}")[2]
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("GET", "state", {}, 200),
        ("POST", "clock", {"to": 1_800_000_000}, 200),
        ("POST", "faults", {"kind": "drop_before", "after": 3}, 200),
        ("POST", "faults", {"kind": "meteor"}, 400),
        ("DELETE", "faults", {}, 200),
        ("POST", "clock", {}, 400),
        ("POST", "weather", {}, 404),
        ("POST", "invoices/in_no/pay", {}, 404),
        ("GET", "invoices/in_no/pay", {}, 404),
    ],
)
def test_the_control_api_answers(
    sandbox: StripeSandbox, method: str, path: str, document: dict[str, object], status: int
) -> None:
    reply = ask(sandbox, method, f"/_sandbox/{path}", json.dumps(document))
    assert reply[0] == status
    assert json.loads(reply[2])


def test_the_control_api_meddles_as_people_do(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: str
) -> None:
    customer = cases.records(sandbox, "customer")[0]["id"]
    discount = json.dumps({"percent_off": 10})
    assert ask(sandbox, "POST", f"/_sandbox/customers/{customer}/discount", discount)[0] == 200
    line = cases.records(sandbox, "line_item")[0]["id"]
    assert ask(sandbox, "DELETE", f"/_sandbox/invoices/{pushed}/lines/{line}")[0] == 200
    endpoint = sandbox.add_endpoint("http://127.0.0.1:9/", "whsec_a", ["x.y"])
    secret = json.dumps({"secret": "whsec_b"})
    assert ask(sandbox, "POST", f"/_sandbox/endpoints/{endpoint}/roll", secret)[0] == 200
    assert ask(sandbox, "DELETE", "/_sandbox/state")[0] == 200
    assert not cases.records(sandbox, "customer")


def test_a_body_too_great_is_not_read(sandbox: StripeSandbox) -> None:
    reply = ask(sandbox, "POST", "/v1/customers", **{"Content-Length": "999999999"})
    assert reply[0] == 413


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "stripe_sandbox", "--port", str(port)]
    options = ["--state", str(tmp_path / "state.jsonl"), "--webhook-secret", "whsec_x"]
    with subprocess.Popen(
        command + options, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        client = stripe.StripeClient(cases.KEY, base_addresses={"api": f"http://127.0.0.1:{port}"})
        (endpoint,) = client.v1.webhook_endpoints.list().data
        assert "invoice.paid" in endpoint.enabled_events
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def test_the_command_says_what_to_do_about_a_taken_port_or_state(
    sandbox: StripeSandbox, tmp_path: Path
) -> None:
    port, state = urlsplit(sandbox.url).port, tmp_path / "state.jsonl"
    with pytest.raises(CommandError, match="give another --port"):
        call_command("stripe_sandbox", port=port, state=state)
    with StripeSandbox(state=state), pytest.raises(CommandError, match="give --state"):
        call_command("stripe_sandbox", port=free_port(), state=state)
