"""The `plans` of a catalogue: an entry for each currency, and each customer, a plan is sold to."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, override

from billing.models import Plan, PlanVersion
from billing.rating.documents import Fields, described
from billing.rating.errors import PriceError
from billing.rating.prices import parse_price, parse_prices
from billing.services import catalog
from billing.services.catalog_file.brevity import brief_document
from billing.services.catalog_file.differences import differences, price_list
from billing.services.catalog_file.sections import (
    Change,
    ModelFields,
    Options,
    Section,
    default_of,
)
from billing.services.versions import AMOUNT_FIELDS, VERSION_FIELDS, documents_of, parsed_amount
from customers.models import Customer

TERMS = ModelFields(PlanVersion, tuple(name for name in VERSION_FIELDS if name != "customer"))


class Plans(Section):
    key: ClassVar[str] = "plans"
    singular: ClassVar[str] = "plan"

    @override
    def identity(self, entry: Fields) -> tuple[str, ...]:
        currency = entry.get("currency") or default_of(PlanVersion._meta.get_field("currency"))
        return str(entry.get("key")), str(currency), str(entry.get("customer"))

    @override
    def conflicts(self, entries: Sequence[Fields]) -> Iterator[tuple[str, str]]:
        yield from super().conflicts(entries)
        names: dict[str, object] = {}
        for entry in entries:
            name = names.setdefault(str(entry.get("key")), entry.get("name"))
            if name != entry.get("name"):
                yield entry.at("name"), f"A plan has one name: an entry above says {name!r}."

    @override
    def apply(self, entry: Fields, options: Options) -> Change:
        entry.only(["key", "name", "customer", *TERMS.names, "prices"], "A plan")
        key = entry.key("key")
        name = entry.text("name", key)
        customer = named_customer(entry)
        terms = TERMS.read(entry) | {"customer": customer}
        offer = {"prices": entry.items("prices"), "at": options.at, **terms}
        what = f"plan {key} in {terms['currency']}{f' for {customer.key}' if customer else ''}"
        plan = Plan.objects.filter(key=key).first()
        if plan is None:
            catalog.create_plan(key=key, name=name, **offer)
            return Change(what, "created", note="version 1")
        renamed = differences({"name": plan.name}, {"name": name})
        catalog.rename_plan(plan=plan, name=name)
        current = latest_version(plan, terms["currency"], customer)
        if current is None:
            made = catalog.publish_version(plan=plan, **offer)
            return Change(what, "created", note=f"version {made.number}", differences=renamed)
        lines = version_differences(current, terms, entry)
        if not lines:
            return Change(what, "changed" if renamed else "unchanged", differences=renamed)
        # Published also where that is refused: what is wrong with the entry itself comes first.
        made = catalog.publish_version(plan=plan, **offer)
        return Change(
            what,
            "changed",
            note=f"version {made.number} follows version {current.number}",
            differences=(*renamed, *lines),
            refusal="" if options.new_versions else refusal(current, made),
        )

    @override
    def export(self, *, own_versions: bool) -> Iterable[dict[str, Any]]:
        versions = PlanVersion.objects.published()
        if not own_versions:
            versions = versions.public()
        identity = ("plan__key", "currency", "customer_id")
        latest = versions.order_by(*identity, "-number").distinct(*identity)
        for version in latest.select_related("plan", "customer").prefetch_related("prices"):
            yield entry_of(version)


def named_customer(entry: Fields) -> Customer | None:
    key = entry.optional_key("customer")
    if key is None:
        return None
    customer = Customer.objects.filter(key=key).first()
    if customer is None:
        raise PriceError(
            entry.at("customer"), f"There is no customer {described(key)}: create it first."
        )
    return customer


def latest_version(plan: Plan, currency: str, customer: Customer | None) -> PlanVersion | None:
    versions = plan.versions.published().filter(currency=currency, customer=customer)
    return versions.order_by("-number").first()


def version_differences(
    current: PlanVersion, terms: dict[str, Any], entry: Fields
) -> tuple[str, ...]:
    """Return what an entry says that its plan's version does not say, and the other way round."""
    wanted = terms | {name: parsed_amount(terms, name) for name in AMOUNT_FIELDS}
    found = {name: getattr(current, name) for name in VERSION_FIELDS}
    old = price_list(parse_price(document) for document in documents_of(current))
    new = parse_prices(entry.items("prices"), entry.at("prices"))
    return differences(found | old, wanted | price_list(new))


def refusal(current: PlanVersion, made: PlanVersion) -> str:
    return (
        f"Version {current.number} of plan {current.plan.key} is published and never changes. "
        f"Apply with --new-versions to publish version {made.number} with what is different; "
        "subscriptions stay on the version they have."
    )


def entry_of(version: PlanVersion) -> dict[str, Any]:
    terms = {name: getattr(version, name) for name in TERMS.names}
    written = {
        name: format(value, "f") if name in AMOUNT_FIELDS else value
        for name, value in TERMS.written(terms).items()
    }
    customer = {} if version.customer is None else {"customer": version.customer.key}
    return {
        "key": version.plan.key,
        "name": version.plan.name,
        **customer,
        "currency": version.currency,
        **written,
        "prices": [brief_document(document) for document in documents_of(version)],
    }
