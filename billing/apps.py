from typing import override

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    @override
    def ready(self) -> None:
        # Checks register themselves as they are imported, which needs the settings.
        from billing import checks  # noqa: F401, PLC0415
