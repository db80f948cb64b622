"""What `manage.py check` says about billing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from billing import pdf


@register(deploy=True)
def check_stripe(**_: Any) -> list[CheckMessage]:
    """Warn when issued invoices stay here."""
    if not settings.STRIPE_SECRET_KEY:
        return [
            Warning(
                "STRIPE_SECRET_KEY is not set: invoices are issued but not pushed to Stripe.",
                hint="docs/stripe.md says how to connect an account.",
                id="billing.W001",
            )
        ]
    return []


@register(deploy=True)
def check_pdf(**_: Any) -> list[CheckMessage]:
    """Warn when invoices cannot be made into PDF documents."""
    problem = pdf.problem()
    if problem is None:
        return []
    return [
        Warning(
            f"No PDF can be made here, so invoices cannot be downloaded: {problem}",
            hint="Install Pango, such as the Debian package libpangoft2-1.0-0.",
            id="billing.W010",
        )
    ]
