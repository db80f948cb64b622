"""API keys as DRF authentication: `Authorization: Bearer tp_…`."""

from typing import override

from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from customers import services
from customers.models import ApiKey
from customers.principals import Principal


class ApiKeyAuthentication(BaseAuthentication):
    """Puts the key's Principal into `request.user` and the key itself into `request.auth`."""

    keyword = b"bearer"

    @override
    def authenticate(self, request: Request) -> tuple[Principal, ApiKey] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != self.keyword:
            return None
        if len(words) != 2:
            message = "The Authorization header must be: Bearer, one space, and the key."
            raise exceptions.AuthenticationFailed(message)
        secret = words[1].decode("latin-1")
        api_key = services.authenticate_api_key(secret=secret, at=timezone.now())
        if api_key is None:
            raise exceptions.AuthenticationFailed("This API key is wrong, expired or revoked.")
        return api_key.principal(), api_key

    @override
    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
