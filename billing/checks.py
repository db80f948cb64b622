"""What `manage.py check` says about billing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register
def check_stripe(**_: Any) -> list[CheckMessage]:
    """Warn when invoices stay here, or when payments at Stripe would go unnoticed."""
    if not settings.STRIPE_SECRET_KEY:
        return [
            Warning(
                "STRIPE_SECRET_KEY is not set: invoices are issued but not pushed to Stripe.",
                hint="docs/stripe.md says how to connect an account.",
                id="billing.W001",
            )
        ]
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return [
            Warning(
                "STRIPE_WEBHOOK_SECRET is not set: payments at Stripe are not noticed here.",
                hint="docs/stripe.md says how to set up the webhook endpoint.",
                id="billing.W002",
            )
        ]
    return []
