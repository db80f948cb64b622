from billing.models.catalog import Plan, PlanVersion, Price
from billing.models.invoices import Invoice, InvoiceLine, NumberSeries, Payment
from billing.models.runs import BillingRun
from billing.models.stripe import StripeCustomer, StripeEvent, StripePush, StripePushStep
from billing.models.subscriptions import Subscription

__all__ = [
    "BillingRun",
    "Invoice",
    "InvoiceLine",
    "NumberSeries",
    "Payment",
    "Plan",
    "PlanVersion",
    "Price",
    "StripeCustomer",
    "StripeEvent",
    "StripePush",
    "StripePushStep",
    "Subscription",
]
