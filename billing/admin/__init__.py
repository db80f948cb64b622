"""The admin of what is sold, owed and paid, one module for each aggregate."""

from billing.admin import customers, invoices, plans, runs, stripe, subscriptions

__all__ = ["customers", "invoices", "plans", "runs", "stripe", "subscriptions"]
