"""Forms in the theme's clothes, and what a service said against their values."""

from __future__ import annotations

from typing import Any, override

from allauth.account.adapter import get_adapter
from django import forms

from config.admin.facade import WIDGETS, AuthenticationForm
from config.errors import DomainError, InvalidInputError


class StyledForm(forms.Form):
    """A form of our own in the theme's widgets. `subject` is the row it is about, if any."""

    def __init__(self, *args: Any, subject: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        for field in self.fields.values():
            style(field)


def style(field: forms.Field) -> None:
    """Give a form field the theme's widget for its kind, unless it brought its own."""
    plain = type(field).widget
    if type(field.widget) is not plain:
        return
    kind = next((kind for kind in WIDGETS if isinstance(field, kind)), None)
    if kind is None:
        return
    widget = WIDGETS[kind](attrs=field.widget.attrs)
    widget.is_required = field.required
    if isinstance(field, forms.ChoiceField):
        widget.choices = field.choices  # type: ignore[attr-defined]
    field.widget = widget


class RefusedForm(forms.BaseForm):
    """A model's form, shown again with what the service said against it."""

    refusal: DomainError

    @override
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        add_refusal(self, self.refusal)
        return cleaned


def add_refusal(form: forms.BaseForm, refusal: DomainError) -> None:
    """Put a refusal beside the field it is about, or above the form.

    A path into a field's value, such as `prices.0.tiers`, is named in front of the message.
    """
    path = refusal.field if isinstance(refusal, InvalidInputError) else ""
    field = path.partition(".")[0]
    message = refusal.message if path == field else f"{path}: {refusal.message}"
    form.add_error(field if field in form.fields else None, message)


class LoginForm(AuthenticationForm):
    """The staff log-in, under the same limit of failed attempts as everybody's."""

    @override
    def clean(self) -> dict[str, Any]:
        email, password = (self.cleaned_data.get(name) for name in ("username", "password"))
        if email and password:
            self.user_cache = get_adapter().authenticate(
                self.request, email=email, password=password
            )
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data
