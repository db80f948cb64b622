"""The kernel as a Django app, and the admin site that carries the theme."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class KernelConfig(AppConfig):
    name = "config"
    verbose_name = "Tallyport"


class TallyportAdminConfig(AdminConfig):
    default_site = "config.admin.TallyportAdminSite"
