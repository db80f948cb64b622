"""`manage.py export_catalog [--own-versions]`."""

from argparse import ArgumentParser
from typing import Any, override

from django.core.management.base import BaseCommand

from billing.services.catalog_file.applying import export_catalog
from billing.services.catalog_file.yaml_text import write_yaml


class Command(BaseCommand):
    help = (
        "Print the meters and the plans as they are sold now as a YAML catalogue "
        "(docs/catalog.md). Applying it where it came from changes nothing."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--own-versions",
            action="store_true",
            help="Also the versions that are single customers' own.",
        )

    @override
    def handle(self, *args: Any, own_versions: bool, **options: Any) -> None:
        document = export_catalog(own_versions=own_versions)
        self.stdout.write(write_yaml(document), ending="")
