"""What runs by itself, and when: the one list of the schedules."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django_q.models import Schedule


@dataclass(frozen=True)
class Recurring:
    """A task run again and again; `first_at` is the UTC time of day of its first run, or at once."""

    name: str
    task: str
    frequency: dict[str, Any] = field(default_factory=lambda: {"schedule_type": Schedule.DAILY})
    first_at: time | None = None

    def first_run(self, at: datetime) -> datetime:
        if self.first_at is None:
            return at
        today = datetime.combine(at.astimezone(UTC).date(), self.first_at, UTC)
        return today if today > at else today + timedelta(days=1)


RECURRING = (
    Recurring(
        name="Fold new events into roll-ups",
        task="metering.tasks.aggregate",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 5},
    ),
    Recurring(name="Make next month's partitions", task="metering.tasks.make_partitions"),
    Recurring(
        name="Take up interrupted backfills",
        task="metering.tasks.resume_backfills",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 5},
    ),
    Recurring(
        name="Take up stopped pushes and waiting webhooks",
        task="billing.tasks.retry_stripe",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 1},
    ),
    Recurring(
        name="Make issued invoices into PDF documents",
        task="billing.tasks.store_pdfs",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 1},
    ),
    Recurring(
        name="Send e-mails to customers",
        task="billing.tasks.send_emails",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 1},
    ),
    Recurring(name="Forget answers to repeated requests", task="customers.tasks.forget_answers"),
    Recurring(name="Forget old refused events", task="metering.tasks.forget_refused"),
    Recurring(
        name="Bill open usage that has reached a threshold",
        task="billing.tasks.bill_thresholds",
        frequency={"schedule_type": Schedule.MINUTES, "minutes": 15},
    ),
    Recurring(
        name="Count and check the days that changed",
        task="metering.tasks.settle_days",
        first_at=time(1),
    ),
    Recurring(name="Nightly billing run", task="billing.tasks.nightly", first_at=time(2)),
)


def setup_schedules(*, at: datetime) -> list[str]:
    """Create the schedules that are missing and return their names.

    Those that exist keep the frequency and the next run that staff may have given them.
    """
    created = []
    for recurring in RECURRING:
        _, is_new = Schedule.objects.update_or_create(
            name=recurring.name,
            defaults={"func": recurring.task},
            create_defaults={
                "func": recurring.task,
                "next_run": recurring.first_run(at),
                **recurring.frequency,
            },
        )
        if is_new:
            created.append(recurring.name)
    return created
