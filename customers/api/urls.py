"""Addresses of this app under /api/v1/."""

from rest_framework.routers import SimpleRouter

import customers.api.schema  # noqa: F401  # It registers itself.
from customers.api.views import ApiKeyViewSet, CustomerViewSet, TaxRateViewSet

router = SimpleRouter(trailing_slash=False)
router.register("customers", CustomerViewSet)
router.register("api-keys", ApiKeyViewSet)
router.register("tax-rates", TaxRateViewSet)

urlpatterns = router.urls
