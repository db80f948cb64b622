from billing.models.catalog import Plan, PlanVersion, Price
from billing.models.coupons import Coupon, CouponRedemption
from billing.models.credit_notes import CreditNote, CreditNoteLine
from billing.models.credits import CreditEntry, CreditGrant
from billing.models.dunning import DunningCase
from billing.models.emails import Email
from billing.models.invoices import Invoice, InvoiceLine, NumberSeries, Payment
from billing.models.one_offs import OneOffCharge
from billing.models.runs import BillingBatch, BillingRun
from billing.models.stored_pdfs import StoredPdf
from billing.models.stripe import (
    Collection,
    StripeCustomer,
    StripeEvent,
    StripePush,
    StripePushStep,
)
from billing.models.stripe_work import (
    PaymentReversal,
    StripeOperation,
    StripeQueue,
    StripeReconciliation,
)
from billing.models.subscriptions import (
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionPhase,
)

__all__ = [
    "BillingBatch",
    "BillingRun",
    "Collection",
    "Coupon",
    "CouponRedemption",
    "CreditEntry",
    "CreditGrant",
    "CreditNote",
    "CreditNoteLine",
    "DunningCase",
    "Email",
    "Invoice",
    "InvoiceLine",
    "NumberSeries",
    "OneOffCharge",
    "Payment",
    "PaymentReversal",
    "Plan",
    "PlanVersion",
    "Price",
    "StoredPdf",
    "StripeCustomer",
    "StripeEvent",
    "StripeOperation",
    "StripePush",
    "StripePushStep",
    "StripeQueue",
    "StripeReconciliation",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionPeriod",
    "SubscriptionPhase",
]
