"""The kernel as a Django app, and the admin site that carries the theme."""

from importlib import import_module
from typing import override

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.core.checks import register
from django.db.models import Field, ForeignObject

from config import checks, error_reporting
from config.lookups import AnyOf


class KernelConfig(AppConfig):
    name = "config"
    verbose_name = "Tallyport"

    @override
    def ready(self) -> None:
        error_reporting.start(settings.SENTRY_DSN)
        for kind in (Field, ForeignObject):
            kind.register_lookup(AnyOf)
        register(checks.check_clock)
        register(checks.check_webhooks)
        register(checks.check_mail, deploy=True)
        register(checks.check_database, deploy=True)


class TallyportAdminConfig(AdminConfig):
    default_site = "config.admin.TallyportAdminSite"

    @override
    def ready(self) -> None:
        super().ready()
        # Only now have the other packages registered the pages that these replace.
        import_module("config.system_admin")
