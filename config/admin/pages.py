"""The admin's site: its content policy, and pages that belong to no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, override

from django.conf import settings
from django.contrib.admin import site
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.csp import CSP
from django.utils.http import urlencode
from django.views.decorators.csp import csp_override

from config.admin.facade import UnfoldAdminSite
from config.admin.forms import LoginForm

# The theme runs Alpine, which evaluates attributes and sets styles; scripts stay first-party.
THEME_CSP = settings.SECURE_CSP | {
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
}


class TallyportAdminSite(UnfoldAdminSite):
    """The admin, with a looser content policy than the rest of the site and pages of its own."""

    login_form = LoginForm
    index_title = "Overview"
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.pages: list[Page] = []

    @override
    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path(page.route, self.admin_view(page), name=page.name) for page in self.pages]
        return [*own, *super().get_urls()]

    @override
    def admin_view[V: Callable[..., HttpResponseBase]](self, view: V, cacheable: bool = False) -> V:
        return csp_override(THEME_CSP)(super().admin_view(view, cacheable))

    @override
    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The theme's form leaves out where to go on to; without it staff land in the portal.
        address = request.get_full_path()
        if REDIRECT_FIELD_NAME not in request.GET:
            query = urlencode({REDIRECT_FIELD_NAME: reverse("admin:index")})
            address = f"{request.path}?{query}"
        context = {"app_path": address, **(extra_context or {})}
        return csp_override(THEME_CSP)(super().login)(request, context)


@dataclass(frozen=True)
class Page:
    """A page of the admin that is no model's list or form.

    `content` returns the template's variables for a request, or an answer of its own, such as a
    file; staff without `permission` are refused.
    """

    route: str
    name: str
    title: str
    template: str
    permission: str
    content: Callable[[HttpRequest], dict[str, Any] | HttpResponseBase]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.user.has_perm(self.permission):
            raise PermissionDenied
        content = self.content(request)
        if isinstance(content, HttpResponseBase):
            return content
        context = {**site.each_context(request), "title": self.title, **content}
        return TemplateResponse(request, self.template, context)


def add_page(page: Page) -> None:
    """Serve a page at `/admin/<route>`; call it while the admin modules are imported."""
    cast("TallyportAdminSite", site).pages.append(page)
