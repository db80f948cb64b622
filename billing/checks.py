"""What `manage.py check` says about billing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning, register

from billing import glyphs, pdf
from billing.models import Email


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
def check_issued_mails(**_: Any) -> list[CheckMessage]:
    """Say when customers may hear of each invoice twice."""
    if not settings.STRIPE_SECRET_KEY or Email.Kind.ISSUED not in settings.CUSTOMER_EMAILS:
        return []
    rest = ",".join(kind for kind in settings.CUSTOMER_EMAILS if kind != Email.Kind.ISSUED)
    return [
        Info(
            "Stripe mails invoices that customers are to pay themselves, and so does Tallyport.",
            hint=f"Set CUSTOMER_EMAILS={rest or 'none'}, unless all of yours are charged "
            "automatically.",
            id="billing.I002",
        )
    ]


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


@register(deploy=True)
def check_fonts(**_: Any) -> list[CheckMessage]:
    """Say which names of customers PDF documents cannot print here."""
    missing = glyphs.missing_scripts()
    if not missing:
        return []
    packages = " and ".join(sorted({*missing.values()}))
    return [
        Info(
            f"No font here has {', '.join(missing)} characters: "
            f"PDF documents print {glyphs.STAND_IN} in their place, and are never made again.",
            hint=f"If customers have such names, install {packages} (Debian) or fonts like them.",
            id="billing.I001",
        )
    ]
