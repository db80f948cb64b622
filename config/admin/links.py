"""What lists and pages print: links between them, and large numbers."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import display
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def change_url(instance: Model) -> str:
    """Return the address of a row's own page in the admin."""
    options = instance._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[instance.pk])


def grouped(field: str, title: str) -> Callable[[Any, Any], str]:
    """Return a column of an admin class that writes a whole number in groups: 13,116."""

    @display(description=title, ordering=field)
    def column(admin: Any, row: Any) -> str:
        return f"{getattr(row, field):,}"

    return column


def link(address: str, text: object) -> SafeString:
    return format_html('<a href="{}" class="text-link">{}</a>', address, text)


def link_to(instance: Model | None, text: object = None) -> str:
    """Return a link to a row's own page, or a dash for no row."""
    return "-" if instance is None else link(change_url(instance), text or instance)


def linked(field: str) -> Callable[[Any, Any], str]:
    """Return a column of an admin class that leads to the row which `field` refers to."""

    @display(description=field.capitalize())
    def column(admin: Any, row: Any) -> str:
        return link_to(getattr(row, field))

    return column
