"""Applying a catalogue: all of it or nothing, after saying what would change."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.rating.documents import Fields
from billing.rating.errors import PriceError
from billing.services.catalog_file.coupons import Coupons
from billing.services.catalog_file.meters import Meters
from billing.services.catalog_file.plans import Plans
from billing.services.catalog_file.sections import Change, Options, Section
from billing.services.quotes import invalid_input_for_price_errors
from config.errors import DomainError, InvalidInputError

# The registry: what the entries of one refer to stands in those before it.
SECTIONS: tuple[Section, ...] = (Meters(), Plans(), Coupons())


class CatalogRefusedError(DomainError):
    """A catalogue that was not applied; `problems` are the paths of its mistakes with sentences."""

    code = "catalog_refused"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            f"Nothing was changed: {count} {'entry is' if count == 1 else 'entries are'} refused."
        )


@transaction.atomic
def apply_catalog(
    *,
    document: object,
    at: datetime,
    announce: Callable[[Sequence[Change]], None],
    new_versions: bool = False,
    dry_run: bool = False,
) -> None:
    """Create and change what a catalogue document describes; what it does not name stays.

    `announce` gets every change before anything is committed. Without `new_versions`, a change of
    what is published is refused; with `dry_run` all is undone in the end. Raises
    CatalogRefusedError, and nothing is changed then.
    """
    entries = read_entries(document)
    options = Options(at=at, new_versions=new_versions)
    changes: list[Change] = []
    problems: list[tuple[str, str]] = []
    for section in SECTIONS:
        for entry in entries[section.key]:
            try:
                changes.append(apply_entry(section, entry, options))
            except InvalidInputError as error:
                problems.append((error.field or entry.path, error.message))
            except DomainError as error:
                problems.append((entry.path, error.message))
        # What comes after may refer to what could not be made.
        if problems:
            break
    announce(changes)
    problems += [(change.path, change.refusal) for change in changes if change.refusal]
    if problems:
        raise CatalogRefusedError(problems)
    if dry_run:
        transaction.set_rollback(True)


def apply_entry(section: Section, entry: Fields, options: Options) -> Change:
    """Apply one entry; an error of a service gets the path that its field has in the document."""
    try:
        with transaction.atomic(), invalid_input_for_price_errors():
            change = section.apply(entry, options)
    except InvalidInputError as error:
        is_whole_path = error.field.startswith(entry.path)
        field = error.field if is_whole_path else entry.at(error.field or "").rstrip(".")
        raise InvalidInputError(error.message, field=field) from error
    return replace(change, path=entry.path)


def read_entries(document: object) -> dict[str, list[Fields]]:
    """Return the entries of each section; raises CatalogRefusedError for a wrong shape."""
    known = [section.key for section in SECTIONS]
    try:
        catalog = Fields(document, what="a catalogue")
        catalog.only(known, "A catalogue")
        entries = {
            section.key: list(catalog.objects(section.key, f"a {section.singular}"))
            for section in SECTIONS
        }
    except PriceError as error:
        raise CatalogRefusedError([(error.field, error.message)]) from error
    problems = [each for section in SECTIONS for each in section.conflicts(entries[section.key])]
    if problems:
        raise CatalogRefusedError(problems)
    return entries


def export_catalog(*, own_versions: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Return the document that describes what is sold now; applying it changes nothing.

    With `own_versions`, also the versions that are single customers' own.
    """
    document = {
        section.key: list(section.export(own_versions=own_versions)) for section in SECTIONS
    }
    return {key: entries for key, entries in document.items() if entries}
