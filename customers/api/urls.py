"""Addresses of this app under /api/v1/."""

from rest_framework.routers import SimpleRouter

from customers.api.views import ApiKeyViewSet, CustomerViewSet

router = SimpleRouter(trailing_slash=False)
router.register("customers", CustomerViewSet)
router.register("api-keys", ApiKeyViewSet)

urlpatterns = router.urls
