"""The admin of what is sold, owed and paid, one module for each aggregate."""

from billing.admin import (
    customers,
    invoices,
    plan_versions,
    plans,
    runs,
    stripe,
    stripe_work,
    subscriptions,
)

__all__ = [
    "customers",
    "invoices",
    "plan_versions",
    "plans",
    "runs",
    "stripe",
    "stripe_work",
    "subscriptions",
]
