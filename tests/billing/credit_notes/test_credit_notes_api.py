"""Credit notes over HTTP: full, by line, by amount, and all that is refused."""

from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader
from rest_framework.test import APIClient

from billing.models import CreditGrant, CreditNote, Invoice
from billing.services.credits import grant_credit
from billing.services.documents import digest_of
from billing.services.payments import record_payment
from billing.services.proving import prove_document
from customers.models import Customer
from tests import factories
from tests.billing.credit_notes.conftest import Credit

pytestmark = pytest.mark.django_db
type Bill = Callable[..., str]
type Read = Callable[[str], Any]


def pay(number: str, amount: str) -> None:
    record_payment(
        invoice=Invoice.objects.get(number=number),
        source="manual",
        external_id=f"{number}-{amount}",
        amount=Decimal(amount),
        paid_at=factories.NOW,
    )


def settlement(note: dict[str, Any]) -> tuple[str, str, str]:
    return note["taken_off_due"], note["refunded"], note["granted"]


def test_an_open_invoice_credited_in_full_is_paid_with_nothing_to_pay(
    bill: Bill, credit: Credit, read: Read
) -> None:
    number = bill("100.00", "50.00")
    note = credit(number, reason="duplicate", memo="Sent twice").json()
    assert (note["number"], note["total"], note["tax"]) == ("CN-000001", "180.00", "30.00")
    assert settlement(note) == ("180.00", "0.00", "0.00")
    assert [(line["line"], line["amount"]) for line in note["lines"]] == [
        (1, "100.00"),
        (2, "50.00"),
    ]
    invoice = read(f"invoices/{number}")
    assert (invoice["status"], invoice["amount_due"]) == ("paid", "0.00")
    assert (invoice["amount_credited"], invoice["credit_notes"]) == ("180.00", ["CN-000001"])
    assert read("credit-notes?invoice=" + number)["results"] == [read("credit-notes/CN-000001")]


def test_a_part_of_a_line_is_taken_off_what_is_owed_with_its_tax(
    bill: Bill, credit: Credit, read: Read
) -> None:
    number = bill("100.00", "50.00")
    note = credit(number, lines=[{"line": 2, "amount": "33.33"}]).json()
    assert (note["subtotal"], note["tax"], note["total"]) == ("33.33", "6.67", "40.00")
    assert (read(f"invoices/{number}")["status"], read(f"invoices/{number}")["amount_due"]) == (
        "open",
        "140.00",
    )
    rest = credit(number).json()
    assert (rest["subtotal"], rest["tax"], rest["total"]) == ("116.67", "23.33", "140.00")
    assert read(f"invoices/{number}")["status"] == "paid"


def test_an_amount_includes_its_tax_and_is_shared_out_among_the_lines(
    bill: Bill, credit: Credit
) -> None:
    note = credit(bill("100.00", "50.00"), amount="60.00").json()
    assert (note["subtotal"], note["tax"], note["total"]) == ("50.00", "10.00", "60.00")
    assert [line["amount"] for line in note["lines"]] == ["33.33", "16.67"]
    assert note["taxes"][0]["base"] == "50.00"


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"amount": "180.01"}, 422, "credit_exceeds_invoice", "180.00, tax included"),
    ({"amount": "0"}, 422, "invalid", "above zero"),
    ({"amount": "-5.00"}, 422, "invalid", "above zero"),
    ({"amount": "1.005"}, 422, "invalid", "too many places"),
    ({"amount": "5", "lines": [{"line": 1}]}, 422, "invalid", "not both"),
    ({"lines": [{"line": 1, "amount": "100.01"}]}, 422, "credit_exceeds_line", "100.00 before"),
    ({"lines": [{"line": 3}]}, 422, "invalid", "from 1 to 2"),
    ({"lines": [{"line": 1}, {"line": 1}]}, 422, "invalid", "each line once"),
    ({"lines": []}, 422, "invalid", "lines"),
    ({"reason": "adjustment"}, 422, "invalid", "reason"),
    ({"settlement": "cash"}, 422, "invalid", "settlement"),
    ({"total": "5"}, 422, "invalid", "There is no such field"),
    ({"invoice": "INV-999999"}, 422, "invalid", "There is no invoice"),
]


@pytest.mark.parametrize(("wish", "status", "code", "words"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(
    bill: Bill, credit: Credit, wish: dict[str, Any], status: int, code: str, words: str
) -> None:
    number = bill("100.00", "50.00")
    answer = credit(**{"invoice": number} | wish)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert words in answer.json()["error"]["message"]
    assert not CreditNote.objects.exists()
    assert Invoice.objects.get().amount_due == 180


def test_lines_that_take_money_off_are_given_back_with_the_rest(bill: Bill, credit: Credit) -> None:
    number = bill("100.00", "-30.00")
    for wish, words in (
        ({"line": 1}, "70.00 are left"),
        ({"line": 2}, "Nothing is left of line 2"),
    ):
        refused = credit(number, lines=[wish])
        assert (refused.status_code, words in refused.json()["error"]["message"]) == (422, True)
    note = credit(number).json()
    assert ([line["amount"] for line in note["lines"]], note["total"]) == (
        ["100.00", "-30.00"],
        "84.00",
    )


def test_what_was_paid_outside_stripe_goes_back_by_hand(
    operator: APIClient, bill: Bill, credit: Credit
) -> None:
    number = bill("100.00")
    paid = operator.post(f"/api/v1/invoices/{number}/paid", {"reference": "SEPA"}, format="json")
    assert (paid.status_code, paid.json()["status"]) == (200, "paid")
    note = credit(number, settlement="refund").json()
    assert (note["refunded"], note["refund_through"]) == ("120.00", "hand")
    again = operator.post(f"/api/v1/invoices/{number}/paid", {"reference": "x"}, format="json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_payable")


def test_no_more_is_given_back_than_is_left(bill: Bill, credit: Credit) -> None:
    number = bill("100.00")
    assert credit(number, amount="100.00").status_code == 201
    assert "20.00, tax included" in credit(number, amount="20.01").json()["error"]["message"]
    assert credit(number, amount="20.00").status_code == 201
    answer = credit(number)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_credit")


def test_a_draft_and_a_void_invoice_are_not_credited(
    operator: APIClient, bill: Bill, credit: Credit
) -> None:
    number, draft = bill("10.00"), bill("10.00", finalize=False)
    operator.post(f"/api/v1/invoices/{number}/void")
    for name, words in ((draft, "Finalize it first"), (number, "is void")):
        answer = credit(name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_creditable")
        assert words in answer.json()["error"]["message"]


def test_an_invoice_that_was_credited_is_not_voided(
    operator: APIClient, bill: Bill, credit: Credit
) -> None:
    number = bill("10.00")
    credit(number, amount="5.00")
    answer = operator.post(f"/api/v1/invoices/{number}/void")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "has_credit_notes")


def test_what_was_paid_becomes_credit_that_pays_the_next_invoice(
    bill: Bill, credit: Credit, read: Read
) -> None:
    number = bill("100.00")
    pay(number, "120.00")
    note = credit(number, amount="60.00").json()
    assert settlement(note) == ("0.00", "0.00", "60.00")
    assert read("credit-grants?customer=acme")["results"][0]["name"] == "Credit note CN-000001"
    later = read(f"invoices/{bill('100.00')}")
    assert (later["credits"], later["total"]) == ("60.00", "60.00")


def test_what_is_owed_is_lowered_before_what_was_paid_goes_back(
    operator: APIClient, bill: Bill, credit: Credit, read: Read
) -> None:
    number = bill("100.00")
    pay(number, "90.00")
    note = credit(number, amount="50.00", settlement="refund").json()
    assert settlement(note) == ("30.00", "20.00", "0.00")
    assert (note["refund_through"], note["refunded_at"]) == ("hand", None)
    path = "/api/v1/credit-notes/CN-000001/refunded"
    done = operator.post(path, {"reference": "SEPA 17"}, format="json").json()
    assert done["refunded_at"] is not None
    assert done["refund_reference"] == "SEPA 17"
    again = operator.post(path)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_refunded")
    assert read(f"invoices/{number}")["status"] == "paid"


def test_what_credits_had_paid_comes_back_as_credit_of_its_kind(
    acme: Customer, bill: Bill, credit: Credit
) -> None:
    gift: dict[str, Any] = {"name": "Gift", "amount": Decimal(30), "kind": "promotional"}
    grant_credit(customer=acme, at=factories.NOW, **gift)
    number = bill("100.00")
    pay(number, "90.00")
    note = credit(number, settlement="refund").json()
    assert settlement(note) == ("0.00", "90.00", "30.00")
    granted = CreditGrant.objects.exclude(credit_note=None).get()
    assert (granted.kind, str(granted.amount)) == ("promotional", "30.00")


@pytest.mark.parametrize(
    ("currency", "amount", "part", "total"),
    [("JPY", "1000", "333", "400"), ("KWD", "10.500", "3.333", "4.000")],
)
def test_it_has_the_places_of_its_currency(
    acme: Customer, bill: Bill, credit: Credit, currency: str, amount: str, part: str, total: str
) -> None:
    acme.currency = currency
    acme.save()
    note = credit(bill(amount), lines=[{"line": 1, "amount": part}]).json()
    assert (note["subtotal"], note["total"]) == (part, total)


def test_a_preview_says_what_would_be_issued_and_stores_nothing(
    operator: APIClient, bill: Bill, credit: Credit
) -> None:
    wish = {"invoice": bill("100.00"), "amount": "60.00"}
    seen = operator.post("/api/v1/credit-notes/preview", wish, format="json").json()
    assert not CreditNote.objects.exists()
    made = credit(**wish).json()
    shared = seen.keys() & made.keys()
    assert {name: seen[name] for name in shared} == {name: made[name] for name in shared}


def test_a_repeated_request_credits_once(operator: APIClient, bill: Bill) -> None:
    wish = {"invoice": bill("100.00"), "amount": "60.00"}
    first, second = (
        operator.post(
            "/api/v1/credit-notes", wish, format="json", headers={"Idempotency-Key": "once"}
        )
        for _ in range(2)
    )
    assert first.json() == second.json()
    assert CreditNote.objects.count() == 1


def test_its_digest_covers_what_it_says_and_proves(bill: Bill, credit: Credit) -> None:
    credit(bill("100.00"), amount="60.00")
    assert prove_document(number="CN-000001").differences == []
    note = CreditNote.objects.get()
    for column in ("memo", "reason", "granted", "buyer", "taxes"):
        changed = CreditNote.objects.get()
        setattr(changed, column, "x")
        assert changed_digest(changed) != note.digest


def changed_digest(note: CreditNote) -> str:
    return digest_of(note, list(note.lines.all()))


def test_its_pdf_is_the_invoices_document_with_what_becomes_of_it(
    operator: APIClient, bill: Bill, credit: Credit
) -> None:
    credit(bill("100.00"), amount="60.00", memo="With our apologies")
    answer = operator.get("/api/v1/credit-notes/CN-000001/pdf")
    assert answer["Content-Disposition"] == 'attachment; filename="CN-000001.pdf"'
    text = " ".join(PdfReader(BytesIO(answer.content)).pages[0].extract_text().split())
    for words in (
        "Credit note CN-000001",
        "INV-000001",
        "Goodwill",
        "With our apologies",
        "$60.00",
    ):
        assert words in text
    assert operator.get("/api/v1/credit-notes/CN-000001/pdf").content == answer.content
