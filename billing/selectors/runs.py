"""What nightly runs did, as staff see it."""

from billing.models import BillingRun


def last_run() -> BillingRun | None:
    """Return the nightly run that started last, whatever became of it."""
    return BillingRun.objects.order_by("-started_at", "-pk").first()
