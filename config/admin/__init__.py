"""The admin's site and base classes; `config.admin.facade` alone names the theme.

Feature admins import from here, so leaving the theme is a change of that module and of
`templates/admin/`.

Two rules hold for every page of the admin. What a service refuses (`DomainError`) is told to the
person who asked, beside the field it is about where there is one. And nothing changes by GET: an
action opens a dialog that says what will happen, and acts when that is submitted.
"""

from django.contrib.admin import SimpleListFilter, display, register, site

from config.admin.actions import Done, detail_action, list_action, page_action
from config.admin.bars import Bar, bars_of
from config.admin.facade import (
    AdminPasswordChangeForm,
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    SearchResult,
    StackedInline,
    TabularInline,
    TextField,
    Tone,
    UserChangeForm,
    UserCreationForm,
    badge,
)
from config.admin.forms import StyledForm, add_refusal, style
from config.admin.links import change_url, grouped, link, link_to, linked
from config.admin.models import ModelAdmin, ReadOnlyAdmin, ReadOnlyInline, ServiceAdmin
from config.admin.pages import Page, TallyportAdminSite, add_page

__all__ = [
    "AdminPasswordChangeForm",
    "AutocompleteSelectFilter",
    "Bar",
    "ChoicesDropdownFilter",
    "DayRangeFilter",
    "Done",
    "ModelAdmin",
    "Page",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "SearchResult",
    "ServiceAdmin",
    "SimpleListFilter",
    "StackedInline",
    "StyledForm",
    "TabularInline",
    "TallyportAdminSite",
    "TextField",
    "Tone",
    "UserChangeForm",
    "UserCreationForm",
    "add_page",
    "add_refusal",
    "badge",
    "bars_of",
    "change_url",
    "detail_action",
    "display",
    "grouped",
    "link",
    "link_to",
    "linked",
    "list_action",
    "page_action",
    "register",
    "site",
    "style",
]
