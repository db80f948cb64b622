"""Addresses of this app under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api.charges import ChargeViewSet
from billing.api.coupons import CouponViewSet
from billing.api.credit_grants import CreditGrantViewSet
from billing.api.credit_notes import CreditNoteViewSet
from billing.api.invoices import InvoiceViewSet
from billing.api.plans import PlanVersionViewSet, PlanViewSet
from billing.api.quotes import QuoteView
from billing.api.subscriptions import SubscriptionViewSet

router = SimpleRouter(trailing_slash=False)
router.register("plans", PlanViewSet, basename="plan")
router.register(r"plans/(?P<key>[^/\0]+)/versions", PlanVersionViewSet, basename="planversion")
router.register("coupons", CouponViewSet)
router.register("credit-grants", CreditGrantViewSet)
router.register("subscriptions", SubscriptionViewSet)
router.register("credit-notes", CreditNoteViewSet, basename="creditnote")
router.register("charges", ChargeViewSet, basename="charge")
router.register("invoices", InvoiceViewSet, basename="invoice")

urlpatterns = [path("quotes", QuoteView.as_view(), name="quote"), *router.urls]
