"""`manage.py apply_catalog FILE [--dry-run] [--new-versions]`."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.services.catalog_file.applying import CatalogRefusedError, apply_catalog
from billing.services.catalog_file.sections import Change
from billing.services.catalog_file.yaml_text import read_yaml
from config.errors import InvalidInputError
from config.management.arguments import instant

SIGNS = {"created": "+", "changed": "~", "unchanged": "="}


class Command(BaseCommand):
    help = (
        "Create and change meters, plans and coupons as a YAML catalogue describes them (docs/catalog.md): "
        "all of it or nothing, the difference printed first. What it does not name stays."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the catalogue, or - for standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="Print the difference and change nothing."
        )
        parser.add_argument(
            "--new-versions",
            action="store_true",
            help="Publish a plan's next version where its published one differs.",
        )
        parser.add_argument(
            "--at", type=instant, help="Publish as of this RFC 3339 instant; now by default."
        )

    @override
    def handle(self, *args: Any, file: str, **options: Any) -> None:
        try:
            apply_catalog(
                document=read_yaml(text_of(file)),
                at=options["at"] or timezone.now(),
                announce=self.announce,
                new_versions=options["new_versions"],
                dry_run=options["dry_run"],
            )
        except CatalogRefusedError as error:
            for path, sentence in error.problems:
                self.stderr.write(f"{path}: {sentence}" if path else sentence)
            raise CommandError(error.message) from error
        except InvalidInputError as error:
            raise CommandError(f"{file}: {error.message}") from error
        self.stdout.write("Dry run: nothing was changed." if options["dry_run"] else "Applied.")

    def announce(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.outcome != "unchanged":
                note = f": {change.note}" if change.note else ""
                self.stdout.write(f"{SIGNS[change.outcome]} {change.what}{note}")
            for line in change.differences:
                self.stdout.write(f"    {line}")
        counts = Counter[str](change.outcome for change in changes)
        self.stdout.write(", ".join(f"{counts[outcome]} {outcome}" for outcome in SIGNS) + ".")


def text_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is no text in UTF-8.") from error
