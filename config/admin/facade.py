"""The only module that names the theme.

Type checkers see Django's own classes in its place: the theme has no types.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal, override

from django import forms
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString


class TextField(forms.CharField):
    """Several lines of text."""

    widget = forms.Textarea


if TYPE_CHECKING:
    from django.contrib.admin import FieldListFilter, StackedInline, TabularInline
    from django.contrib.admin import ModelAdmin as ThemeModelAdmin
    from django.contrib.admin.forms import AdminAuthenticationForm as AuthenticationForm
    from django.contrib.admin.views.main import ChangeList as ThemeChangeList
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm

    class UnfoldAdminSite(AdminSite): ...

    class AutocompleteSelectFilter(FieldListFilter): ...

    class ChoicesDropdownFilter(FieldListFilter): ...

    class RangeDateFilter(FieldListFilter):
        parameter_name: str

    class ActionVariant:
        def __init__(self, value: str) -> None: ...

    @dataclass
    class SearchResult:
        title: str
        description: str
        link: str
        icon: str | None

    WIDGETS: dict[type[forms.Field], type[forms.Widget]]
else:
    from unfold import widgets
    from unfold.admin import ModelAdmin as ThemeModelAdmin
    from unfold.admin import StackedInline, TabularInline
    from unfold.contrib.filters.admin import (
        AutocompleteSelectFilter,
        ChoicesDropdownFilter,
        RangeDateFilter,
    )
    from unfold.dataclasses import SearchResult
    from unfold.enums import ActionVariant
    from unfold.forms import (
        AdminPasswordChangeForm,
        AuthenticationForm,
        UserChangeForm,
        UserCreationForm,
    )
    from unfold.sites import UnfoldAdminSite
    from unfold.views import ChangeList as ThemeChangeList

    # In the order they are tried: a field takes the widget of the first class it is one of.
    WIDGETS = {
        forms.SplitDateTimeField: widgets.UnfoldAdminSplitDateTimeWidget,
        forms.DateField: widgets.UnfoldAdminSingleDateWidget,
        forms.MultipleChoiceField: widgets.UnfoldAdminCheckboxSelectMultipleWidget,
        forms.ChoiceField: widgets.UnfoldAdminSelectWidget,
        forms.BooleanField: widgets.UnfoldBooleanSwitchWidget,
        forms.JSONField: widgets.UnfoldAdminTextareaWidget,
        forms.IntegerField: widgets.UnfoldAdminIntegerFieldWidget,
        forms.EmailField: widgets.UnfoldAdminEmailInputWidget,
        TextField: widgets.UnfoldAdminTextareaWidget,
        forms.FileField: widgets.UnfoldAdminFileFieldWidget,
        forms.CharField: widgets.UnfoldAdminTextInputWidget,
    }

__all__ = [
    "WIDGETS",
    "ActionVariant",
    "AdminPasswordChangeForm",
    "AuthenticationForm",
    "AutocompleteSelectFilter",
    "ChoicesDropdownFilter",
    "DayRangeFilter",
    "SearchResult",
    "StackedInline",
    "TabularInline",
    "TextField",
    "ThemeChangeList",
    "ThemeModelAdmin",
    "Tone",
    "UnfoldAdminSite",
    "UserChangeForm",
    "UserCreationForm",
    "badge",
]

Tone = Literal["default", "primary", "success", "info", "warning", "danger"]


def badge(text: object, tone: Tone = "default") -> SafeString:
    """Return a small coloured label; the text is escaped."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "variant": tone})


class DayRangeFilter(RangeDateFilter):
    """Keeps the rows of some days of UTC, the last one included."""

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self.day(bound) for bound in ("from", "to"))
        if first is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": first})
        if last is not None:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": last + timedelta(days=1)})
        return queryset

    def day(self, bound: str) -> datetime | None:
        """Return the midnight that begins a day of the address; None where it names none."""
        text = str(self.used_parameters.get(f"{self.parameter_name}_{bound}") or "")
        try:
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        except ValueError:
            return None
