"""Actions: buttons that open a dialog, and act when that is submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin, site
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse

from config.admin.facade import ActionVariant, Tone
from config.admin.forms import StyledForm, add_refusal
from config.admin.links import change_url
from config.errors import DomainError


@dataclass(frozen=True)
class Dialog:
    """What an action asks before it acts."""

    title: str
    explanation: str
    form: type[StyledForm]
    offered: Callable[[Any], bool]

    def is_allowed(self, admin: ModelAdmin[Any], request: HttpRequest) -> bool:
        """Whether this person may change such rows, though the form itself be read-only."""
        options = admin.opts
        codename = get_permission_codename("change", options)
        return bool(request.user.has_perm(f"{options.app_label}.{codename}"))

    def is_offered(self, admin: ModelAdmin[Any], request: HttpRequest, row: Any) -> bool:
        return self.is_allowed(admin, request) and self.offered(row)


@dataclass(frozen=True)
class Done:
    """What an action did, in a sentence, and the page to go on with if it is another one."""

    sentence: str
    address: str


type DetailHandler[A, R] = Callable[[A, HttpRequest, R, dict[str, Any]], str | Done]
type ListHandler[A] = Callable[[A, HttpRequest, dict[str, Any]], str]


def detail_action[A, R](
    title: str,
    explanation: str,
    *,
    icon: str = "",
    tone: Tone = "default",
    form: type[StyledForm] = StyledForm,
    offered: Callable[[Any], bool] = lambda row: True,
) -> Callable[[DetailHandler[A, R]], Callable[..., HttpResponseBase]]:
    """Make a button on a row's page that opens a dialog and then acts.

    The handler gets the row and the dialog's cleaned values, calls one service and returns the
    sentence that tells what happened, or `Done` to go on to another page. `offered` says for which rows the button is shown; whether
    the deed is allowed is the service's to say.
    """
    dialog = Dialog(title, explanation, form, offered)

    def decorate(handler: DetailHandler[A, R]) -> Callable[..., HttpResponseBase]:
        @wraps(handler)
        def view(self: Any, request: HttpRequest, object_id: str) -> HttpResponseBase:
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            back = change_url(row)
            return act(self, request, row, back, dialog, lambda v: handler(self, request, row, v))

        return describe(view, dialog, icon, tone)

    return decorate


def list_action[A](
    title: str,
    explanation: str,
    *,
    icon: str = "",
    tone: Tone = "default",
    form: type[StyledForm] = StyledForm,
) -> Callable[[ListHandler[A]], Callable[..., HttpResponseBase]]:
    """Make a button above a list that opens a dialog and then acts; see `detail_action`."""
    dialog = Dialog(title, explanation, form, lambda row: True)

    def decorate(handler: ListHandler[A]) -> Callable[..., HttpResponseBase]:
        @wraps(handler)
        def view(self: Any, request: HttpRequest) -> HttpResponseBase:
            options = self.opts
            back = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
            return act(self, request, None, back, dialog, lambda v: handler(self, request, v))

        return describe(view, dialog, icon, tone)

    return decorate


def page_action[A, R](
    title: str,
    *,
    icon: str = "",
    tone: Tone = "default",
    offered: Callable[[Any], bool] = lambda row: True,
) -> Callable[[Callable[[A, R], str]], Callable[..., HttpResponseBase]]:
    """Make a button on a row's page that leads to a page of its own, whose address is returned."""
    dialog = Dialog(title, "", StyledForm, offered)

    def decorate(address: Callable[[A, R], str]) -> Callable[..., HttpResponseBase]:
        @wraps(address)
        def view(self: Any, request: HttpRequest, object_id: str) -> HttpResponseBase:
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            return HttpResponseRedirect(address(self, row))

        described = describe(view, dialog, icon, tone)
        vars(described).update(dialog=None)
        return described

    return decorate


def describe(
    view: Callable[..., HttpResponseBase], dialog: Dialog, icon: str, tone: Tone
) -> Callable[..., HttpResponseBase]:
    """Attach what the theme reads from an action to draw its button."""
    vars(view).update(
        dialog_spec=dialog,
        dialog={"title": dialog.title},
        short_description=dialog.title,
        icon=icon,
        variant=ActionVariant(tone),
        attrs={},
        extra_options={},
    )
    return view


def act(
    admin: ModelAdmin[Any],
    request: HttpRequest,
    row: Model | None,
    back: str,
    dialog: Dialog,
    handle: Callable[[dict[str, Any]], str | Done],
) -> HttpResponseBase:
    """Show an action's dialog, or do it and return to the page it was asked from."""
    if not dialog.is_allowed(admin, request):
        raise PermissionDenied
    form = dialog.form(request.POST if request.method == "POST" else None, subject=row)
    if form.is_valid():
        try:
            done = handle(form.cleaned_data)
        except DomainError as refusal:
            if getattr(refusal, "field", "").partition(".")[0] not in form.fields:
                messages.error(request, refusal.message)
                return go_to(request, back)
            add_refusal(form, refusal)
        else:
            outcome = done if isinstance(done, Done) else Done(done, back)
            if row is not None and row.pk is not None:
                admin.log_change(request, row, f"{dialog.title}: {outcome.sentence}")
            messages.success(request, outcome.sentence)
            return go_to(request, outcome.address)
    title = dialog.title if row is None else f"{dialog.title}: {row}"
    context = {
        "form": form,
        "form_submit_text": dialog.title,
        "dialog": {"title": title, "description": dialog.explanation},
        "back": back,
    }
    if "HX-Request" in request.headers:
        return TemplateResponse(request, "unfold/helpers/dialog.html", context)
    whole = {**site.each_context(request), "title": title, "opts": admin.opts, **context}
    return TemplateResponse(request, "admin/action.html", whole)


def go_to(request: HttpRequest, address: str) -> HttpResponseBase:
    """Redirect the browser, also from inside a dialog, whose request is a script's."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
