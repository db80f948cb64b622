"""The `meters` of a catalogue."""

from collections.abc import Iterable
from typing import Any, ClassVar, override

from billing.rating.documents import Fields
from billing.services.catalog_file.differences import differences
from billing.services.catalog_file.sections import Change, ModelFields, Options, Section
from metering.models import Meter
from metering.services.meters import create_meter, update_meter

IDENTITY = ("key", "name")


class Meters(Section):
    key: ClassVar[str] = "meters"
    singular: ClassVar[str] = "meter"

    @override
    def apply(self, entry: Fields, options: Options) -> Change:
        fields = definition()
        entry.only([*IDENTITY, *fields.names], "A meter")
        key = entry.key("key")
        wanted = {"name": entry.text("name", key), **fields.read(entry)}
        meter = Meter.objects.current().filter(key=key).first()
        if meter is None:
            create_meter(at=options.at, key=key, **wanted)
            return Change(f"meter {key}", "created")
        found = {name: getattr(meter, name) for name in wanted}
        lines = differences(found, wanted)
        if lines:
            changed = {name: value for name, value in wanted.items() if found[name] != value}
            update_meter(meter=meter, at=options.at, **changed)
        return Change(f"meter {key}", "changed" if lines else "unchanged", differences=lines)

    @override
    def export(self, *, own_versions: bool) -> Iterable[dict[str, Any]]:
        fields = definition()
        for meter in Meter.objects.current().order_by("key"):
            values = {name: getattr(meter, name) for name in fields.names}
            yield {"key": meter.key, "name": meter.name, **fields.written(values)}


def definition() -> ModelFields:
    """Return what a meter says of itself, besides its key and name."""
    names = (
        field.name
        for field in Meter._meta.concrete_fields
        if field.editable and not field.primary_key and field.name not in IDENTITY
    )
    return ModelFields(Meter, tuple(names))
