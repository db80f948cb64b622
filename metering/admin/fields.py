"""What the pages of usage and of events ask alike."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect

from config.admin import site
from customers.models import Customer, Membership


def customer_field() -> forms.ModelChoiceField[Customer]:
    """Return a field that finds a customer by typing: there may be too many to list."""
    relation = Membership._meta.get_field("customer")
    widget = AutocompleteSelect(relation, site, attrs={"class": "unfold-admin-autocomplete"})
    return forms.ModelChoiceField(Customer.objects.all(), widget=widget)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which a day begins in a zone."""
    return datetime.combine(day, time(), zone)
