"""Give subscriptions of before their first change and phase, and let billing go on from there."""

from django.db import migrations
from django.db.models import Max


def begin_histories(apps, schema_editor):
    """Drafts are dropped: the next nightly run makes them anew, with what they bill."""
    Subscription = apps.get_model("billing", "Subscription")
    SubscriptionChange = apps.get_model("billing", "SubscriptionChange")
    SubscriptionPhase = apps.get_model("billing", "SubscriptionPhase")
    Invoice = apps.get_model("billing", "Invoice")
    Invoice.objects.filter(status="draft").delete()
    for subscription in Subscription.objects.iterator():
        SubscriptionChange.objects.create(
            subscription=subscription,
            kind="start",
            requested_at=subscription.created_at,
            effective_at=subscription.start_at,
            plan_version_id=subscription.plan_version_id,
        )
        SubscriptionPhase.objects.create(
            subscription=subscription,
            plan_version_id=subscription.plan_version_id,
            start_at=subscription.start_at,
        )
        billed = Invoice.objects.filter(subscription=subscription).aggregate(end=Max("period_end"))
        subscription.billed_until = billed["end"]
        subscription.save(update_fields=["billed_until"])


class Migration(migrations.Migration):

    dependencies = [("billing", "0004_documents_by_charge")]

    operations = [migrations.RunPython(begin_histories, migrations.RunPython.noop)]
