"""Amounts, quantities and instants in templates, as the page's customer reads them.

Each tag takes locale and time zone from the `customer` in the context. Decimals may come as
strings, the way JSON documents carry them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import formatting
from customers.models import Customer

register = template.Library()


def customer_of(context: Context) -> Customer:
    customer: Customer = context["customer"]
    return customer


def zone_of(customer: Customer, name: str) -> ZoneInfo:
    return ZoneInfo(name) if name else customer.zone


def time_element(at: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), text)


@register.simple_tag(takes_context=True)
def money(context: Context, amount: Decimal | str, currency: str) -> str:
    return formatting.money(Decimal(amount), currency, customer_of(context).locale)


@register.simple_tag(takes_context=True)
def rate(context: Context, unit_amount: Decimal | str, currency: str) -> str:
    return formatting.rate(Decimal(unit_amount), currency, customer_of(context).locale)


@register.simple_tag(takes_context=True)
def percentage(context: Context, percent: Decimal | str) -> str:
    return formatting.percentage(Decimal(percent), customer_of(context).locale)


@register.simple_tag(takes_context=True)
def quantity(context: Context, value: Decimal | str) -> str:
    return formatting.quantity(Decimal(value), customer_of(context).locale)


@register.simple_tag(takes_context=True)
def short_quantity(context: Context, value: Decimal | str) -> str:
    return formatting.short_quantity(Decimal(value), customer_of(context).locale)


@register.simple_tag(takes_context=True)
def instant(context: Context, at: datetime) -> SafeString:
    customer = customer_of(context)
    return time_element(at, formatting.instant(at, customer.zone, customer.locale))


@register.simple_tag(takes_context=True)
def day(context: Context, at: datetime, zone: str = "") -> SafeString:
    """Write a day; `zone` names the time zone where it is not the customer's of today."""
    customer = customer_of(context)
    return time_element(at, formatting.day(at, zone_of(customer, zone), customer.locale))


@register.simple_tag(takes_context=True)
def period(context: Context, start: datetime, end: datetime, zone: str = "") -> str:
    """Write a period in days; `zone` as for `day`."""
    customer = customer_of(context)
    return formatting.period(start, end, zone_of(customer, zone), customer.locale)


@register.simple_tag(takes_context=True)
def span(context: Context, start: datetime, end: datetime, zone: str = "") -> str:
    """Write the stretch of time that a line is for; `zone` as for `day`."""
    customer = customer_of(context)
    return formatting.span(start, end, zone_of(customer, zone), customer.locale)


@register.simple_tag(takes_context=True)
def address(context: Context, party: dict[str, Any]) -> list[str]:
    """Return the lines of a postal address, empty ones left out; a seller's are given as such."""
    if "address" in party:
        return list(party["address"])
    town = " ".join(party.get(part, "") for part in ("postal_code", "city", "state")).split()
    country = formatting.country(party.get("country", ""), customer_of(context).locale)
    lines = [party.get("address_line1"), party.get("address_line2"), " ".join(town), country]
    return [line for line in lines if line]


@register.inclusion_tag("portal/_page_links.html", takes_context=True)
def page_links(context: Context, page: Any) -> dict[str, Any]:
    """Link to the pages before and after, keeping the rest of the address's query."""
    return {"page": page, "request": context["request"]}
