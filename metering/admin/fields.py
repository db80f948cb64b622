"""What the pages of usage and of events ask alike."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any, override
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest

from config.admin import site
from customers.models import Customer, Membership
from customers.principals import Principal, Scope

ID = re.compile("[0-9]{1,18}")


class CustomerSelect(AutocompleteSelect):
    """Shows the chosen customer; what is no id cannot be looked for, and the field refuses it."""

    @override
    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [text for text in value if ID.fullmatch(text)], attr)


def customer_field() -> forms.ModelChoiceField[Customer]:
    """Return a field that finds a customer by typing: there may be too many to list."""
    relation = Membership._meta.get_field("customer")
    widget = CustomerSelect(relation, site, attrs={"class": "unfold-admin-autocomplete"})
    return forms.ModelChoiceField(Customer.objects.all(), widget=widget)


def staff_principal(request: HttpRequest) -> Principal:
    """Return whom services take for the one that acts."""
    return Principal(customer_ids=None, scopes=frozenset({Scope.ADMIN}), user_id=request.user.pk)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which a day begins in a zone."""
    return datetime.combine(day, time(), zone)
