"""Months of events and the partitions they lie in."""

from datetime import date

from django.db import connection

# A named job's, over all customers.
WAITING_MONTHS = """
    SELECT DISTINCT date_trunc('month', timestamp AT TIME ZONE 'UTC')::date AS month
    FROM metering_event_default ORDER BY month DESC
"""


def waiting_months() -> list[date]:
    """Return the first days of the months whose events wait in the default partition."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING_MONTHS)
        return [month for (month,) in cursor.fetchall()]
