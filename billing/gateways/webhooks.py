"""Webhooks as they come in: proven to be Stripe's, and read."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import stripe

from billing.gateways.answers import instant, webhook_message
from billing.gateways.errors import WebhookRefusedError
from billing.gateways.values import WebhookMessage

WEBHOOK_TOLERANCE = timedelta(seconds=300)


def verified_webhook(
    body: bytes, header: str, secrets: Sequence[str], *, at: datetime
) -> WebhookMessage:
    """Return the event in `body` if one of `secrets` signed it within five minutes of `at`.

    Several secrets are alive while one is being replaced. Raises WebhookRefusedError with a
    sentence that holds neither secret nor body.
    """
    if not any(is_signed(body, header, secret) for secret in secrets):
        raise WebhookRefusedError("No configured secret signed this body.")
    # The SDK looks at the past alone; a date in the future would stay valid for ever.
    sent_at = re.search(r"(?:^|,)\s*t=(\d{1,12})", header)
    if not sent_at or abs(instant(int(sent_at[1])) - at) > WEBHOOK_TOLERANCE:
        raise WebhookRefusedError("The signature is too old, or of the future.")
    try:
        document = json.loads(body)
        return webhook_message(document)
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise WebhookRefusedError("The body is signed but is no event of Stripe's.") from error


def is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True
