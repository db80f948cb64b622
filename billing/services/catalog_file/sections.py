"""What a section of a catalogue is, and how entries name the fields of a model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing.rating.documents import Fields, described
from billing.rating.errors import PriceError

type Outcome = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Change:
    """What applying one entry of a catalogue does: to what, and the differences in lines.

    `refusal` says why it may not be done, and what to do instead.
    """

    what: str
    outcome: Outcome
    path: str = ""
    differences: tuple[str, ...] = ()
    note: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How a catalogue is applied: as of when, and whether published versions get a next one."""

    at: datetime
    new_versions: bool = False


class Section(ABC):
    """One top-level list of a catalogue: `key` is its name, `singular` that of one entry."""

    key: ClassVar[str]
    singular: ClassVar[str]

    @abstractmethod
    def apply(self, entry: Fields, options: Options) -> Change:
        """Bring what an entry describes into being, and say what was different.

        What a refusal stands in is undone by the caller. Raises InvalidInputError or `PriceError`
        naming a wrong field, DomainError for a rule.
        """

    @abstractmethod
    def export(self, *, own_versions: bool) -> Iterable[dict[str, Any]]:
        """Yield the entries that describe what there is; applying them changes nothing.

        Without `own_versions` they name no customer.
        """

    def identity(self, entry: Fields) -> tuple[str, ...]:
        """Return what two entries may not share."""
        return (str(entry.get("key")),)

    def conflicts(self, entries: Sequence[Fields]) -> Iterator[tuple[str, str]]:
        """Yield the path of each entry that contradicts an earlier one, with a sentence."""
        seen: set[tuple[str, ...]] = set()
        for entry in entries:
            identity = self.identity(entry)
            if identity in seen:
                yield entry.path, "An entry above describes the same: put them into one."
            seen.add(identity)


@dataclass(frozen=True, slots=True)
class ModelFields:
    """The fields of a model that entries may name; what an entry leaves out has its default."""

    model: type[models.Model]
    names: tuple[str, ...]

    def read(self, entry: Fields) -> dict[str, Any]:
        """Return a value for every field; raises `PriceError` for one of the wrong kind."""
        return {name: self.value(entry, name) for name in self.names}

    def value(self, entry: Fields, name: str) -> Any:
        model_field = self.model._meta.get_field(name)
        value = entry.get(name)
        if value is None:
            return default_of(model_field)
        kind = kind_of(model_field)
        if kind is not None and type(value) is not kind[0]:
            raise PriceError(entry.at(name), f"Write {kind[1]}, not {described(value)}.")
        return value

    def written(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an entry has to say: the values that are not their fields' defaults."""
        return {
            name: values[name]
            for name in self.names
            if values[name] != default_of(self.model._meta.get_field(name))
        }


def default_of(model_field: Any) -> Any:
    return model_field.get_default()


def kind_of(model_field: Any) -> tuple[type, str] | None:
    """Return the type that a field's value has to have, and the words for it."""
    kinds: tuple[tuple[type[models.Field[Any, Any]], type, str], ...] = (
        (models.BooleanField, bool, "true or false"),
        (models.IntegerField, int, "a whole number"),
        (models.CharField, str, "text"),
        (models.JSONField, list, "a list"),
        (ArrayField, list, "a list of texts"),
    )
    return next((kind[1:] for kind in kinds if isinstance(model_field, kind[0])), None)
