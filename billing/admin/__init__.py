"""The admin of what is sold, owed and paid, one module for each aggregate."""

from billing.admin import (
    back_tests,
    charges,
    coupons,
    credit_notes,
    credits,
    customers,
    dunning,
    emails,
    invoices,
    plan_versions,
    plans,
    rehearsals,
    runs,
    stripe,
    stripe_work,
    subscriptions,
)

__all__ = [
    "back_tests",
    "charges",
    "coupons",
    "credit_notes",
    "credits",
    "customers",
    "dunning",
    "emails",
    "invoices",
    "plan_versions",
    "plans",
    "rehearsals",
    "runs",
    "stripe",
    "stripe_work",
    "subscriptions",
]
