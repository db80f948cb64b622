"""The admin's base classes: the only file that names the theme.

Feature admins import from here, so leaving the theme is a change of this file and of
`templates/admin/`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite, display, register
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline

    class UnfoldAdminSite(AdminSite): ...

    def action(
        function: Callable[..., Any] | None = None,
        *,
        permissions: list[str] | None = None,
        description: str | None = None,
        url_path: str | None = None,
        icon: str | None = None,
    ) -> Callable[..., Any]: ...

else:
    from unfold.admin import ModelAdmin, StackedInline, TabularInline
    from unfold.decorators import action, display
    from unfold.sites import UnfoldAdminSite

__all__ = [
    "ModelAdmin",
    "StackedInline",
    "TabularInline",
    "TallyportAdminSite",
    "action",
    "display",
    "register",
]

# The theme runs Alpine, which evaluates attributes and sets styles; scripts stay first-party.
THEME_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "img-src": [CSP.SELF, "data:"],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
}


class TallyportAdminSite(UnfoldAdminSite):
    def admin_view(
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        return csp_override(THEME_CSP)(super().admin_view(view, cacheable))

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        return csp_override(THEME_CSP)(super().login)(request, extra_context)
