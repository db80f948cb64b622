"""What e-mails to customers say: one content, from which text and HTML are made.

Figures and days are written as the customer reads them, from what the document said at issue.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from billing import formatting
from billing.branding import accents
from billing.models import CreditNote, Email, Invoice

Kind = Email.Kind


@dataclass(frozen=True, slots=True)
class Content:
    """What an e-mail says; `facts` are pairs of a name and a value, `button` words and address."""

    subject: str
    paragraphs: list[str]
    facts: list[tuple[str, str]]
    button: tuple[str, str]
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Reader:
    """How a document's customer reads figures and days."""

    currency: str
    locale: str
    zone: ZoneInfo

    def money(self, amount: Decimal) -> str:
        return formatting.money(amount, self.currency, self.locale)

    def day(self, at: datetime | None) -> str:
        return "" if at is None else formatting.day(at, self.zone, self.locale)


def rendered(email: Email) -> Rendered:
    """Return an e-mail as it is sent now."""
    content = content_of(email)
    buyer = email.document.buyer
    context = {
        "content": content,
        "name": buyer["name"],
        "brand_name": settings.BRAND_NAME,
        "brand_logo": settings.BRAND_LOGO,
        "accent": accents(settings.BRAND_COLOR).light,
        "contact": settings.DEFAULT_FROM_EMAIL,
    }
    return Rendered(
        subject=content.subject,
        text=render_to_string("emails/message.txt", context),
        html=render_to_string("emails/message.html", context),
    )


def content_of(email: Email) -> Content:
    document = email.document
    if isinstance(document, CreditNote):
        return credited(document, reader_of(document))
    reader = reader_of(document)
    match email.kind:
        case Kind.REMINDER:
            return reminded(document, reader, int(email.occasion or 0))
        case Kind.PAID:
            return paid(document, reader)
        case Kind.PAYMENT_FAILED:
            return failed(document, reader)
    return issued(document, reader)


def reader_of(document: Invoice | CreditNote) -> Reader:
    buyer = document.buyer
    return Reader(document.currency, buyer["locale"], ZoneInfo(buyer["time_zone"]))


def issued(invoice: Invoice, reader: Reader) -> Content:
    is_owed = bool(invoice.amount_due)
    period = formatting.period(invoice.period_start, invoice.period_end, reader.zone, reader.locale)
    asks = f"Please pay {reader.money(invoice.amount_due)} by {reader.day(invoice.due_at)}."
    return Content(
        subject=f"Invoice {invoice.number} from {settings.BRAND_NAME}",
        paragraphs=[
            f"Your invoice for {period} is attached.",
            asks if is_owed else "There is nothing to pay.",
        ],
        facts=facts_of(invoice, reader),
        button=("View and pay" if is_owed else "View the invoice", address_of(invoice)),
    )


def reminded(invoice: Invoice, reader: Reader, days: int) -> Content:
    amount, due = reader.money(invoice.amount_due), reader.day(invoice.due_at)
    if days < 0:
        subject = f"Invoice {invoice.number} is due on {due}"
        said = f"Invoice {invoice.number} is due on {due}: {amount} are to be paid by then."
    else:
        subject = f"Invoice {invoice.number} is overdue"
        said = f"Invoice {invoice.number} was due on {due}, and {amount} of it have not reached us."
    return Content(
        subject=subject,
        paragraphs=[said, "If you have paid meanwhile, please disregard this message."],
        facts=facts_of(invoice, reader),
        button=("View and pay", address_of(invoice)),
    )


def paid(invoice: Invoice, reader: Reader) -> Content:
    return Content(
        subject=f"Payment received for invoice {invoice.number}",
        paragraphs=[
            f"Thank you. We have received {reader.money(invoice.amount_paid)} for invoice "
            f"{invoice.number}; nothing is left to pay on it."
        ],
        facts=[*facts_of(invoice, reader), ("Paid", reader.day(invoice.paid_at))],
        button=("View the invoice", address_of(invoice)),
    )


def failed(invoice: Invoice, reader: Reader) -> Content:
    return Content(
        subject=f"The payment of invoice {invoice.number} did not go through",
        paragraphs=[
            f"We tried to collect {reader.money(invoice.amount_due)} for invoice "
            f"{invoice.number}, and the payment did not go through.",
            "Please pay with another method, or confirm the payment where your bank asks for it.",
        ],
        facts=facts_of(invoice, reader),
        button=("Pay now", address_of(invoice)),
    )


def credited(note: CreditNote, reader: Reader) -> Content:
    outcomes = [
        (note.taken_off_due, f"are taken off what is owed on invoice {note.invoice.number}."),
        (note.refunded, "are paid back to you."),
        (note.granted, "are kept as credit and pay your next invoices."),
    ]
    return Content(
        subject=f"Credit note {note.number} from {settings.BRAND_NAME}",
        paragraphs=[
            f"Your credit note over {reader.money(note.total)} for invoice {note.invoice.number} "
            "is attached.",
            *([note.memo] if note.memo else []),
            *[f"Of it, {reader.money(amount)} {words}" for amount, words in outcomes if amount],
        ],
        facts=[
            ("Credit note", str(note.number)),
            ("Invoice", str(note.invoice.number)),
            ("Issued", reader.day(note.issued_at)),
            ("Total", reader.money(note.total)),
        ],
        button=("View the invoice", address_of(note.invoice)),
    )


def facts_of(invoice: Invoice, reader: Reader) -> list[tuple[str, str]]:
    facts = [
        ("Invoice", str(invoice.number)),
        ("Issued", reader.day(invoice.issued_at)),
        ("Due", reader.day(invoice.due_at)),
        ("Total", reader.money(invoice.total)),
    ]
    if invoice.amount_due not in {invoice.total, 0}:
        facts.append(("Still due", reader.money(invoice.amount_due)))
    return facts


def address_of(invoice: Invoice) -> str:
    """Return where a customer reads an invoice, and pays it if it can be paid."""
    path = reverse("portal-invoice", args=[invoice.buyer["key"], invoice.number])
    return settings.BASE_URL + path
