from billing.models.catalog import Plan, PlanVersion, Price
from billing.models.credit_notes import CreditNote, CreditNoteLine
from billing.models.invoices import Invoice, InvoiceLine, NumberSeries, Payment
from billing.models.runs import BillingRun
from billing.models.stripe import StripeCustomer, StripeEvent, StripePush, StripePushStep
from billing.models.subscriptions import (
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionPhase,
)

__all__ = [
    "BillingRun",
    "CreditNote",
    "CreditNoteLine",
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
    "SubscriptionChange",
    "SubscriptionPeriod",
    "SubscriptionPhase",
]
