"""The way in: from the bare address to a customer's page, and the seller's colour."""

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from billing.branding import accents
from billing.portal.access import PersonRequest, person_page
from customers.models import Customer

CUSTOMERS_PER_PAGE = 50


@require_safe
@person_page
def home(request: PersonRequest) -> HttpResponse:
    """Lead a member to their first customer and staff to the list of all."""
    principal = request.user.principal()
    if principal.sees_all_customers:
        return redirect("portal-customers")
    customer = Customer.objects.visible_to(principal).first()
    if customer is None:
        return render(request, "portal/no_customer.html")
    return redirect("portal-overview", customer_key=customer.key)


@require_safe
@person_page
def customers(request: PersonRequest) -> HttpResponse:
    """List the customers whose portals this person may open."""
    words = request.GET.get("q", "").strip()
    visible = Customer.objects.visible_to(request.user.principal())
    if words:
        visible = visible.filter(Q(name__icontains=words) | Q(key__icontains=words))
    page = Paginator(visible, CUSTOMERS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "portal/customers.html", {"page": page, "words": words})


@require_safe
@cache_control(public=True, max_age=3600)
def brand_stylesheet(request: HttpRequest) -> HttpResponse:
    """Give pages the seller's colour: a stylesheet, because no page may carry a style inline."""
    return render(
        request, "portal/brand.css", accents_context(), content_type="text/css; charset=utf-8"
    )


def accents_context() -> dict[str, str]:
    shades = accents(settings.BRAND_COLOR)
    return {"light": shades.light, "dark": shades.dark}
