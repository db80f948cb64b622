"""One pace for all processes: the database hands out the instants at which Stripe may be asked."""

import time

from django.db import connection

from billing.models import StripeQueue

MICROSECONDS = 1_000_000
RESERVE = """
UPDATE billing_stripequeue
SET paced_to = GREATEST(paced_to, clock_timestamp()) + %(interval)s * interval '1 microsecond'
WHERE account = %(account)s
RETURNING (EXTRACT(EPOCH FROM paced_to - clock_timestamp()) * 1000000)::bigint - %(interval)s
"""


class SharedPace:
    """Calls of an account follow each other at this many microseconds, whoever makes them.

    A place that a killed process had taken is lost, and nothing else.
    """

    def __init__(self, account: str, *, interval: int) -> None:
        self.account = account
        self.interval = interval

    def take(self) -> None:
        """Wait for the next free place. Inside a transaction the place would be locked: go on."""
        if connection.in_atomic_block:
            return
        wait = self.reserve()
        if wait > 0:
            time.sleep(wait / MICROSECONDS)

    def reserve(self) -> int:
        """Take the next place and return how many microseconds it is away."""
        with connection.cursor() as cursor:
            for _ in range(2):
                cursor.execute(RESERVE, {"account": self.account, "interval": self.interval})
                if row := cursor.fetchone():
                    return int(row[0])
                StripeQueue.objects.get_or_create(account=self.account)
        raise AssertionError("unreachable")
