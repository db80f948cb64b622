"""The base of every list and form."""

from __future__ import annotations

from typing import Any, ClassVar, override

from django import forms
from django.contrib.admin import ActionLocation, display
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest

from config.admin.facade import TabularInline, ThemeChangeList, ThemeModelAdmin
from config.admin.forms import RefusedForm
from config.admin.links import link_to
from config.errors import DomainError


class ChangeList(ThemeChangeList):
    @override
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Without this the theme offers to show all rows when all of them are shown.
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class ModelAdmin[M: Model](ThemeModelAdmin[M]):
    """The base of every list and form.

    Rows are not deleted unless a subclass says so: documents stay, people are made inactive.
    """

    can_add = True
    can_change = True
    can_delete = False
    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    compressed_fields = True
    empty_value_display = "-"

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and super().has_add_permission(request)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_change and super().has_change_permission(request, obj)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_delete and super().has_delete_permission(request, obj)

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ChangeList

    @override
    def get_inlines(self, request: HttpRequest, obj: M | None) -> list[type[Any]]:
        inlines = super().get_inlines(request, obj)
        # The form that adds a row has nothing to show yet.
        return [i for i in inlines if obj is not None or not issubclass(i, ReadOnlyInline)]

    @override
    def get_action_choices(
        self,
        request: HttpRequest,
        default_choices: list[tuple[str, str]] | None = None,
        action_location: ActionLocation = ActionLocation.CHANGE_LIST,
    ) -> list[tuple[str, str]]:
        """Return Django's own choices: the theme's override warns with this release of Django."""
        choices = default_choices or [("", "Select action")]
        return DjangoModelAdmin.get_action_choices(self, request, choices, action_location)

    @override
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refusal:
            # The transaction is rolled back; the second time the form itself says why.
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    @override
    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[M]]:
        form = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, "refusal", None)
        if refusal is None:
            return form
        return type(form.__name__, (RefusedForm, form), {"refusal": refusal})

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Return the actions that this person may take on this row as it stands."""
        row = self.get_object(request, unquote(str(object_id)))
        return [
            action
            for action in self._get_base_actions_detail()  # type: ignore[attr-defined]
            if row is not None and action.method.dialog_spec.is_offered(self, request, row)
        ]

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        return [
            action
            for action in self._get_base_actions_list()  # type: ignore[attr-defined]
            if action.method.dialog_spec.is_allowed(self, request)
        ]


class ServiceAdmin[M: Model](ModelAdmin[M]):
    """Rows that are made and changed by services alone; the form only asks."""

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> M:
        """Make the row that an add form describes."""
        raise NotImplementedError

    def change_row(self, request: HttpRequest, row: M, values: dict[str, Any]) -> None:
        """Change a row; `values` holds only the fields that were changed."""
        raise NotImplementedError

    @override
    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:
        if change:
            changed = {name: form.cleaned_data[name] for name in form.changed_data}
            # Validation has written the form's values into `obj`; services compare with the row.
            self.change_row(request, self.model._default_manager.get(pk=obj.pk), changed)
        else:
            # The admin goes on with the object it made; it becomes the row that was created.
            vars(obj).update(vars(self.create_row(request, form.cleaned_data)))


class ReadOnlyAdmin[M: Model](ModelAdmin[M]):
    """Rows that staff read; what may be done to them are actions."""

    can_add = False
    can_change = False


class ReadOnlyInline[C: Model, P: Model](TabularInline[C, P]):
    """Rows shown on the page of the row they belong to; they have no other fields than `fields`."""

    fields: ClassVar[tuple[str, ...]] = ()
    ordering: ClassVar[tuple[str, ...]] = ("pk",)
    extra = 0
    max_num = 0
    can_delete = False
    tab = True
    show_title = False

    @display(description="")
    def page(self, row: C) -> str:
        """Return a link to the row's own page, for `fields` to begin with."""
        return link_to(row)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    @override
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
