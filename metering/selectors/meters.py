"""What is known of a meter beside its own row."""
# ruff: noqa: S608  # The statement is put together from constants; see meter_sql.

from django.db import connection

from customers.models import Customer
from metering.models import Meter
from metering.selectors.meter_sql import matches_sql, meter_params


def has_usage(meter: Meter) -> bool:
    """Tell whether a filled meter has counted an event of any customer."""
    statement = f"""
        SELECT EXISTS (
            SELECT FROM metering_usagebucket b
            WHERE b.customer_id = ANY(%(customers)s) AND b.meter_id = %(meter)s
        ) OR EXISTS (
            SELECT FROM metering_pendingbatch p JOIN metering_event e
                ON e.customer_id = p.customer_id AND e.batch_id = p.batch_id
                AND e.timestamp BETWEEN p.first_at AND p.last_at
            WHERE p.customer_id = ANY(%(customers)s) AND {matches_sql(meter)}
        )
    """
    customers = list(Customer.objects.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(statement, {**meter_params(meter), "customers": customers})
        [(has_any,)] = cursor.fetchall()
    return bool(has_any)
