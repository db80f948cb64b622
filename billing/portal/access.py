"""The one door into a customer's pages: who may open them, and who may change something."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from customers.models import Customer, Membership, User

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class PersonRequest(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


class CustomerRequest(PersonRequest):
    """A request for one customer's page, by somebody who may see it.

    `membership` is None for staff who look in from outside.
    """

    customer: Customer
    membership: Membership | None
    is_of_several: bool


def person_page(
    view: Callable[Concatenate[PersonRequest, ...], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Open a page to anybody who is logged in; nothing of it is kept by any cache."""

    @wraps(view)
    def page(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(cast("PersonRequest", request), **kwargs)

    return never_cache(login_required(page))


def customer_page(
    view: Callable[Concatenate[CustomerRequest, ...], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Open a page to the customer's members, and to staff for reading.

    Strangers get 404, as if the customer did not exist. Methods that write need a membership
    whose role may write, otherwise 403.
    """

    @wraps(view)
    def page(request: PersonRequest, customer_key: str, **kwargs: Any) -> HttpResponseBase:
        admitted = admit(request, customer_key)
        if request.method not in READ_METHODS and not may_write(admitted.membership):
            raise PermissionDenied(refusal(admitted.membership))
        return view(admitted, **kwargs)

    return person_page(page)


def admit(request: PersonRequest, customer_key: str) -> CustomerRequest:
    """Note on the request whose page it is for and what the person's membership is."""
    admitted = cast("CustomerRequest", request)
    principal = request.user.principal()
    admitted.customer = get_object_or_404(Customer.objects.visible_to(principal), key=customer_key)
    admitted.membership = Membership.objects.filter(
        customer=admitted.customer, user=request.user
    ).first()
    admitted.is_of_several = principal.customer_ids is None or len(principal.customer_ids) > 1
    return admitted


def may_write(membership: Membership | None) -> bool:
    return membership is not None and membership.can_manage_keys


def refusal(membership: Membership | None) -> str:
    """Return why somebody who may look may not change anything, and who may."""
    if membership is None:
        return "Staff may look at a customer's portal. To change something, use the admin."
    return "Viewers cannot change anything. Ask an owner or a developer of your team."


def customer_render(
    request: CustomerRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page of the customer's portal with what its frame needs."""
    frame = {
        "customer": request.customer,
        "is_staff_visit": request.membership is None,
        "may_write": may_write(request.membership),
        "write_refusal": refusal(request.membership),
        "is_of_several": request.is_of_several,
        "api_address": settings.BASE_URL,
    }
    return render(request, template, frame | context, status=status)


def back_to(request: CustomerRequest, page: str) -> HttpResponse:
    """Lead to a page of the customer's with the same filters, where it says what is wrong."""
    address = reverse(page, args=[request.customer.key])
    return redirect(f"{address}?{request.GET.urlencode()}")
