"""Issued invoices as PDF documents: read back, made once, and the same for ever."""

import hashlib
import json
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pypdf import PdfReader
from pytest_django import Settings
from rest_framework.test import APIClient

from billing import glyphs, pdf
from billing.models import Invoice, StoredPdf
from billing.services.coupons import create_coupon, redeem_coupon
from billing.services.invoicing import bill_customers, void_invoice
from billing.services.one_off import OneOffLine, create_one_off_invoice
from billing.services.pdfs import invoice_pdf, store_missing_pdfs
from billing.tasks import store_pdfs
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db
AT = instant("2026-02-03")
TEN = Decimal(10)


@pytest.fixture
def issued(acme: Customer) -> Invoice:
    """Return January's invoice over 31 for the plan and 35 for fifteen calls."""
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 15)
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    return Invoice.objects.get()


def read(invoice: Invoice) -> PdfReader:
    return PdfReader(BytesIO(bytes(invoice_pdf(invoice=invoice, at=AT).content)))


def text_of(invoice: Invoice) -> str:
    return " ".join(" ".join(page.extract_text() for page in read(invoice).pages).split())


def billed(customer: Customer, *lines: OneOffLine) -> Invoice:
    return create_one_off_invoice(customer=customer, lines=lines, at=AT, finalizes=True)


def test_it_says_what_the_invoice_says(issued: Invoice) -> None:
    text = text_of(issued)
    for words in ("Invoice INV-000001", "Acme", "Base fee", "Jan 1", "$31.00", "$35.00", "$66.00"):
        assert words in text
    assert "How it adds up API calls" in text
    assert "First 10 10 $2.00 $20.00" in text


def test_it_says_who_sells_as_of_its_issue(acme: Customer, settings: Settings) -> None:
    settings.SELLER_NAME, settings.SELLER_TAX_ID = "Weather Forecasts Ltd", "GB123456789"
    settings.SELLER_ADDRESS = ["1 High Street", "London N1 1AA"]
    invoice = billed(acme, OneOffLine("Training", TEN))
    settings.SELLER_NAME = "Another Ltd"
    said = "From Weather Forecasts Ltd 1 High Street London N1 1AA Tax id GB123456789"
    assert said in text_of(invoice)


def test_it_names_the_coupons_that_took_something_off(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    for key in ("Welcome", "Thank you"):
        coupon = create_coupon(key=key[:5], name=key, percent_off=TEN, duration="forever")
        redeem_coupon(subscription=subscription, coupon=coupon, at=instant("2026-01-01"))
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    assert "Discount (Welcome, Thank you) −$5.89" in text_of(Invoice.objects.get())  # noqa: RUF001


def test_its_pages_are_numbered(acme: Customer) -> None:
    line = OneOffLine("A long night's work, told in many words", TEN)
    reader = read(billed(acme, *[line] * 120))
    assert len(reader.pages) > 3
    assert f"2 / {len(reader.pages)}" in reader.pages[1].extract_text()


def test_it_is_an_archive_with_its_numbers_attached(issued: Invoice) -> None:
    reader = read(issued)
    [content] = reader.attachments["INV-000001.json"]
    assert hashlib.sha256(content).hexdigest() == issued.digest
    assert json.loads(content)["document"]["total"] == "66.00"
    root: Any = reader.trailer["/Root"]
    metadata = root["/Metadata"].get_data().decode()
    assert 'part="3"' in metadata.replace("<pdfaid:part>3", 'part="3"')


@pytest.mark.parametrize(("currency", "total"), [("JPY", "¥1,235"), ("KWD", "1,234.568")])
def test_money_has_the_places_of_its_currency(acme: Customer, currency: str, total: str) -> None:
    acme.currency = currency
    acme.save()
    price = Decimal("1234.5678")
    assert total in text_of(billed(acme, OneOffLine("Work", price)))


def test_its_bytes_stay_the_same_whatever_becomes_of_the_invoice(issued: Invoice) -> None:
    first = invoice_pdf(invoice=issued, at=AT)
    void_invoice(invoice=issued, at=AT)
    Customer.objects.update(name="Renamed")
    issued.refresh_from_db()
    again = invoice_pdf(invoice=issued, at=instant("2027-01-01"))
    assert (again.pk, bytes(again.content)) == (first.pk, bytes(first.content))
    assert hashlib.sha256(bytes(again.content)).hexdigest() == again.digest


def test_it_is_written_from_what_was_frozen(issued: Invoice) -> None:
    Customer.objects.update(name="Renamed", locale="de")
    Invoice.objects.update(amount_paid="66.00")
    text = text_of(Invoice.objects.get())
    assert ("Renamed" in text, "$66.00" in text, "Paid" in text) == (False, True, False)


@pytest.mark.parametrize(
    "change", ["UPDATE billing_storedpdf SET digest = ''", "DELETE FROM billing_storedpdf"]
)
def test_the_database_refuses_to_change_it(issued: Invoice, change: str) -> None:
    invoice_pdf(invoice=issued, at=AT)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_a_task_makes_those_that_are_missing(issued: Invoice) -> None:
    assert store_pdfs() == 1
    assert store_pdfs() == 0
    assert StoredPdf.objects.get().invoice == issued


def test_one_that_cannot_be_made_stops_no_other(
    issued: Invoice, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed(acme, OneOffLine("Work", TEN))
    real = pdf.pdf_of

    def breaks(html: str, **said: Any) -> bytes:
        if "API calls" in html:
            raise ValueError
        return real(html, **said)

    monkeypatch.setattr("billing.services.pdfs.pdf_of", breaks)
    assert store_missing_pdfs(at=AT) == 1


def test_a_draft_has_none(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-01"))
    with pytest.raises(DomainError, match="finalize it first"):
        invoice_pdf(invoice=Invoice.objects.get(), at=AT)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/x.png", "file:///etc/passwd", "font:../pdf.py", "data:text/plain,x"],
)
def test_a_document_loads_nothing_but_bundled_fonts(address: str) -> None:
    with pytest.raises(ValueError, match="A document may not load"):
        pdf.pdf_of(f'<img src="{address}">', attached="{}", attached_name="x.json")


def test_a_name_that_looks_like_markup_is_a_name(acme: Customer) -> None:
    acme.name = '<img src="file:///etc/passwd">'
    acme.save()
    assert "<img src=" in text_of(billed(acme, OneOffLine("Work", TEN)))


def test_every_character_of_a_name_in_the_bundled_font_is_embedded(acme: Customer) -> None:
    acme.name = "Ærøskøbing Ζεύς Ђорђе"
    acme.save()
    reader = read(billed(acme, OneOffLine("Work", TEN)))
    assert acme.name in reader.pages[0].extract_text()
    resources: Any = reader.pages[0]["/Resources"]
    assert all(
        "/FontFile2" in font["/DescendantFonts"][0]["/FontDescriptor"]
        for font in resources["/Font"].values()
    )


def test_it_is_downloaded_over_the_api(operator: APIClient, issued: Invoice) -> None:
    for accept in ("*/*", "application/json", "application/pdf"):
        answer = operator.get("/api/v1/invoices/INV-000001/pdf", HTTP_ACCEPT=accept)
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
        assert answer["Content-Disposition"] == 'attachment; filename="INV-000001.pdf"'
        assert answer.content == bytes(StoredPdf.objects.get().content)


def test_the_api_refuses_a_draft_in_json(operator: APIClient, acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-01"))
    address = f"/api/v1/invoices/{Invoice.objects.get().pk}/pdf"
    answer = operator.get(address, HTTP_ACCEPT="application/pdf")
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (409, "not_issued")


def test_it_is_downloaded_in_portal_and_admin(acme: Customer, issued: Invoice) -> None:
    client = Client()
    client.force_login(factories.make_staff())
    page = client.get("/portal/acme/invoices/INV-000001/").text
    assert "/portal/acme/invoices/INV-000001/pdf/" in page
    for address in (
        "/portal/acme/invoices/INV-000001/pdf/",
        f"/admin/invoice-pdf/?invoice={issued.pk}",
    ):
        assert client.get(address).content == bytes(StoredPdf.objects.get().content)


def test_a_missing_library_is_told_at_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise OSError("cannot load library 'pango'")

    monkeypatch.setattr("billing.pdf.weasyprint", missing)
    messages = {each.id: each.msg for each in run_checks(include_deployment_checks=True)}
    assert "cannot load library 'pango'" in messages["billing.W010"]


def test_a_name_that_no_font_has_is_not_left_blank(
    acme: Customer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    acme.name = "東京 Ümlaut\u0301"
    acme.save()
    invoice = billed(acme, OneOffLine("Training", TEN))
    has_bundled = glyphs.has_glyph("Ü")
    monkeypatch.setattr(glyphs, "has_glyph", lambda each: ord(each) < 0x3000)
    text = text_of(invoice)
    assert (has_bundled, "?? Ümlaut" in text, "東" in caplog.text) == (True, True, True)
    [content] = read(invoice).attachments[f"{invoice.number}.json"]
    assert json.loads(content)["document"]["buyer"]["name"] == acme.name


@pytest.mark.parametrize("is_there", [True, False])
def test_scripts_without_a_font_are_told_at_deployment(
    monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    monkeypatch.setattr(glyphs, "has_glyph", lambda each: is_there)
    told = {each.id: each for each in run_checks(include_deployment_checks=True)}
    if is_there:
        assert "billing.I001" not in told
    else:
        assert "Chinese, Japanese, Korean, Arabic, Hebrew" in told["billing.I001"].msg
        assert "fonts-dejavu-core and fonts-noto-cjk" in str(told["billing.I001"].hint)


def test_the_fonts_come_with_their_licence() -> None:
    assert "Bitstream Vera" in Path(pdf.FONTS, "LICENSE").read_text()
