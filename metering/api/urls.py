"""Addresses of this app under /api/v1/."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from metering.api.corrections import CorrectionViewSet
from metering.api.events import EventsView
from metering.api.meters import MeterViewSet
from metering.api.usage import UsageView

router = SimpleRouter(trailing_slash=False)
router.register("corrections", CorrectionViewSet)
router.register("meters", MeterViewSet)

urlpatterns: list[URLPattern | URLResolver] = [
    path("events", EventsView.as_view(), name="events"),
    path("usage", UsageView.as_view(), name="usage"),
    *router.urls,
]
