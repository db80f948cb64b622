"""The `coupons` of a catalogue."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, override

from django.utils.dateparse import parse_datetime

from billing.models import Coupon
from billing.models.coupons import PROMISE
from billing.rating.documents import Fields, described
from billing.rating.errors import PriceError
from billing.services.catalog_file.differences import differences
from billing.services.catalog_file.sections import Change, ModelFields, Options, Section
from billing.services.coupons import create_coupon, update_coupon

PLAIN = ModelFields(
    Coupon,
    (
        "currency",
        "duration",
        "duration_months",
        "prices",
        "max_redemptions",
        "max_per_customer",
        "is_active",
    ),
)
NAMES = ("key", "name", "percent_off", "amount_off", "valid_until", *PLAIN.names)


class Coupons(Section):
    key: ClassVar[str] = "coupons"
    singular: ClassVar[str] = "coupon"

    @override
    def apply(self, entry: Fields, options: Options) -> Change:
        entry.only(NAMES, "A coupon")
        key = entry.key("key")
        wanted = {"name": entry.text("name", key), **terms_of(entry)}
        coupon = Coupon.objects.filter(key=key).first()
        if coupon is None:
            create_coupon(key=key, **wanted, created_at=options.at)
            return Change(f"coupon {key}", "created")
        found = {name: getattr(coupon, name) for name in wanted}
        lines = differences(found, wanted)
        if any(found[name] != wanted[name] for name in PROMISE if name in wanted):
            refusal = "What a coupon takes off never changes: give the new one a key of its own."
            return Change(f"coupon {key}", "changed", differences=lines, refusal=refusal)
        if lines:
            update_coupon(coupon=coupon, **wanted)
        return Change(f"coupon {key}", "changed" if lines else "unchanged", differences=lines)

    @override
    def export(self, *, own_versions: bool) -> Iterable[dict[str, Any]]:
        for coupon in Coupon.objects.order_by("key"):
            values = {name: getattr(coupon, name) for name in NAMES}
            money = {
                name: format(values[name], "f")
                for name in ("percent_off", "amount_off")
                if values[name] is not None
            }
            end = (
                {}
                if coupon.valid_until is None
                else {"valid_until": coupon.valid_until.isoformat()}
            )
            yield {"key": coupon.key, "name": coupon.name, **money, **end, **PLAIN.written(values)}


def terms_of(entry: Fields) -> dict[str, Any]:
    terms = PLAIN.read(entry)
    if entry.document.get("max_per_customer", 0) is None:
        # Written out, it is no limit; left out, it is one.
        terms["max_per_customer"] = None
    return {
        "percent_off": entry.optional_percent("percent_off"),
        "amount_off": entry.optional_rate("amount_off"),
        "valid_until": instant(entry, "valid_until"),
        **terms,
    }


def instant(entry: Fields, name: str) -> datetime | None:
    """Read an instant, which YAML may have read already."""
    value = entry.get(name)
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else parse_datetime(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        message = f"Write an instant with its offset, such as 2026-12-31T00:00:00Z, not {described(value)}."
        raise PriceError(entry.at(name), message)
    return found
