"""A worker that pushes what is queued and then what is due; `stripe_kills` starts and kills it.

It is a module of its own so that the process workers are forked from can import it, and with it
everything a worker needs, once.
"""

import os

import django
from django.db import connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402  # models need the settings
from django.utils import timezone  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402
from django_q.models import OrmQ  # noqa: E402

# Found by a push when it first writes an address, and costlier than the push itself.
import config.urls  # noqa: E402, F401
from billing.gateways.stripe import gateway_from_settings  # noqa: E402
from billing.selectors.stripe import invoices_to_push  # noqa: E402
from billing.services.stripe_push import push_due_invoices  # noqa: E402

KEY = "sk_test_benchmark"


def next_task() -> OrmQ | None:
    """Take a task off the queue; a worker that is killed at it loses it, and the invoice is due."""
    for task in OrmQ.objects.order_by("pk"):
        if OrmQ.objects.filter(pk=task.pk).delete()[0]:
            return task
    return None


def work(database: str, stripe: str, rate: int) -> None:
    """Push to the server at `stripe` what is due in a database, until there is nothing left."""
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = database
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = KEY, stripe
    settings.STRIPE_REQUESTS_PER_SECOND = rate
    while task := next_task():
        import_string(task.func())(*task.args())
    while invoices_to_push().exists():
        push_due_invoices(gateway=gateway_from_settings(), at=timezone.now())
