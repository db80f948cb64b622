"""E-mails to customers: claimed with what they tell, sent after that, at least once.

A row is written in the transaction that issues an invoice, records a payment and so on; its unique
constraints let no document have two of a kind. It is sent by a task. Between the mail server's yes
and the note of it lies an instant in which a crash makes the mail go out once more, under the
same Message-ID, by which mail programs know it for the same; no mail is ever lost.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from smtplib import SMTPException
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Q

from billing.models import Email, Invoice
from billing.selectors.locks import only_one
from billing.services.email_words import rendered
from billing.services.pdfs import credit_note_pdf, invoice_pdf
from config.errors import DomainError

LOCK = 7_206
MOST_AT_ONCE = 500
RETRY_MINUTES = (1, 5, 30, 120, 360, 720)
ATTEMPTS = len(RETRY_MINUTES) + 1
Kind = Email.Kind
logger = logging.getLogger(__name__)


def send_due_emails(*, at: datetime) -> int:
    """Send what is waiting to be sent by `at`, the oldest first; return how many were.

    One that cannot be sent is tried again later and stops none of the others.
    """
    with only_one(LOCK) as is_mine:
        return sum(sent(email, at) for email in due_emails(at)) if is_mine else 0


def due_emails(at: datetime) -> Iterator[Email]:
    is_due = Q(retry_at=None) | Q(retry_at__lte=at)
    waiting = Email.objects.filter(is_due, status=Email.Status.PENDING).order_by("pk")
    for pk in list(waiting.values_list("pk", flat=True)[:MOST_AT_ONCE]):
        related = ("customer", "invoice__customer", "credit_note__customer", "credit_note__invoice")
        yield Email.objects.select_related(*related).get(pk=pk)


def sent(email: Email, at: datetime) -> bool:
    """Send an e-mail, or note why that is not needed or did not work; say whether it went out."""
    if reason := reason_to_skip(email):
        email.status, email.last_error = Email.Status.SKIPPED, reason
        email.save(update_fields=["status", "last_error"])
        return False
    try:
        message = message_of(email, at)
        message.send()
    except (OSError, SMTPException, ValueError, DomainError) as error:
        note_failure(email, error, at)
        return False
    except Exception as error:
        logger.exception("E-mail %s could not be made.", email.pk)
        note_failure(email, error, at)
        return False
    email.status, email.sent_at = Email.Status.SENT, at
    email.recipient, email.subject = message.to[0], str(message.subject)
    email.attempts, email.last_error, email.retry_at = 0, "", None
    email.times_sent += 1
    email.save()
    return True


def reason_to_skip(email: Email) -> str:
    """Return why an e-mail need not be sent any more, or nothing."""
    if not email.customer.email:
        return "The customer has no e-mail address any more."
    invoice = email.invoice
    if invoice is None:
        return ""
    is_about_debt = email.kind in {Kind.REMINDER, Kind.PAYMENT_FAILED}
    if is_about_debt and invoice.status != Invoice.Status.OPEN:
        return f"The invoice is {invoice.status} meanwhile."
    if invoice.status == Invoice.Status.VOID:
        return "The invoice is void meanwhile."
    return ""


def note_failure(email: Email, error: Exception, at: datetime) -> None:
    email.last_error = str(error) or repr(error)
    if email.attempts < len(RETRY_MINUTES):
        email.retry_at = at + timedelta(minutes=RETRY_MINUTES[email.attempts])
    else:
        email.status, email.retry_at = Email.Status.FAILED, None
    email.attempts += 1
    email.save(update_fields=["last_error", "retry_at", "status", "attempts"])


def message_of(email: Email, at: datetime) -> EmailMultiAlternatives:
    words, document = rendered(email), email.document
    message = EmailMultiAlternatives(
        subject=words.subject,
        body=words.text,
        from_email=f'"{sender_name()}" <{settings.DEFAULT_FROM_EMAIL}>',
        to=[email.customer.email],
        headers={"Message-ID": message_id(email), "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(words.html, "text/html")
    pdf = (
        invoice_pdf(invoice=document, at=at)
        if isinstance(document, Invoice)
        else credit_note_pdf(credit_note=document, at=at)
    )
    message.attach(f"{document.number}.pdf", bytes(pdf.content), "application/pdf")
    return message


def sender_name() -> str:
    """Return the brand as the name of a sender, without what would end the name."""
    return "".join(
        char for char in settings.BRAND_NAME if char.isprintable() and char not in '"\\<>'
    )


def message_id(email: Email) -> str:
    """Return the same name for every copy of one sending; sending again on purpose has another."""
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    return f"<email-{email.pk}-{email.times_sent + 1}@{host}>"


@transaction.atomic
def send_again(*, email: Email, at: datetime) -> Email:
    """Have an e-mail sent once more, or tried again; raises DomainError if it is to be sent yet."""
    locked = Email.objects.select_for_update().get(pk=email.pk)
    if locked.status == Email.Status.PENDING and locked.retry_at is None:
        raise DomainError("This e-mail is about to be sent.", code="already_pending")
    locked.status, locked.retry_at, locked.attempts = Email.Status.PENDING, None, 0
    locked.save(update_fields=["status", "retry_at", "attempts"])
    return locked
