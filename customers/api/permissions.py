"""Scopes as DRF permissions, and the caller and customer behind a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, override

from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from config.errors import InvalidInputError, NotFoundError
from customers.models import Customer
from customers.principals import Principal, Scope

if TYPE_CHECKING:
    # The framework's views import this module by its name in the settings.
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Requires a key with the scope that the view names.

    `read_scope` is for safe methods, `write_scope` for all others; writing needs `admin` unless
    the view says otherwise.
    """

    @override
    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.auth is None:
            raise exceptions.NotAuthenticated("Send an API key: Authorization: Bearer <key>.")
        is_read = request.method in SAFE_METHODS
        name = "read_scope" if is_read else "write_scope"
        scope: Scope = getattr(view, name, Scope.ADMIN)
        if not principal_of(request).has_scope(scope):
            raise exceptions.PermissionDenied(f"This key lacks the scope {scope}.")
        return True


def principal_of(request: Request) -> Principal:
    """Return the authenticated caller."""
    return cast("Principal", request.user)


def customer_for(principal: Principal, key: str | None) -> Customer:
    """Return the customer that a request is about.

    A customer's key may leave the name out. Raises InvalidInputError when an operator key does,
    NotFoundError for a customer that is not there or not the caller's.
    """
    customers = Customer.objects.visible_to(principal)
    if key is None:
        if principal.sees_all_customers:
            raise InvalidInputError(
                "Name the customer: an operator key acts for all.", field="customer"
            )
        return customers.get()
    # No database can look for the zero character.
    customer = None if "\0" in key else customers.filter(key=key).first()
    if customer is None:
        raise NotFoundError(f"There is no customer {key!r}.")
    return customer
