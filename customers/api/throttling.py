"""Rate limits of API keys, as DRF throttling."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, override

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from customers import services
from customers.models import ApiKey

if TYPE_CHECKING:
    # The framework's views import this module by its name in the settings.
    from rest_framework.views import APIView


class KeyRateLimit(BaseThrottle):
    """Refuses the requests that a key makes beyond its own limit: 429 with Retry-After."""

    waiting_seconds = 0

    @override
    def allow_request(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiKey):
            return True
        wait = services.take_turn(api_key=request.auth, at=timezone.now())
        self.waiting_seconds = 0 if wait is None else wait // timedelta(seconds=1)
        return wait is None

    @override
    def wait(self) -> int:
        return self.waiting_seconds
