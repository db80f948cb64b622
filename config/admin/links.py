"""Links between the admin's pages."""

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def change_url(instance: Model) -> str:
    """Return the address of a row's own page in the admin."""
    options = instance._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[instance.pk])


def link(address: str, text: object) -> SafeString:
    return format_html('<a href="{}" class="text-link">{}</a>', address, text)


def link_to(instance: Model | None, text: object = None) -> str:
    """Return a link to a row's own page, or a dash for no row."""
    return "-" if instance is None else link(change_url(instance), text or instance)
