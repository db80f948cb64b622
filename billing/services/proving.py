"""Proving issued documents: everything they say follows from raw events as of their cut-off (I9)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, override

from billing.models import CreditNote, Invoice
from billing.models.lines import DocumentLine
from billing.rating.arithmetic import exact_arithmetic
from billing.selectors.proofs import (
    Document,
    Expected,
    cutoff_of,
    expected_lines,
    is_metered,
    issued_document,
    lines_of,
)
from billing.services.credit_notes import negated
from billing.services.documents import digest_of


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a document says and that does not follow from what it was made of."""

    place: str
    what: str
    said: str
    expected: str

    @override
    def __str__(self) -> str:
        return f"{self.place}: it says {self.what} {self.said}, but that would be {self.expected}."


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at, and all that differs. `metered` lines were counted again from events."""

    lines: int
    metered: int
    differences: list[Difference]


def prove_document(*, number: str) -> Proof:
    """Work an issued invoice or credit note out once more and compare it with what it says.

    Usage is counted again from the raw events that the document had seen, so later events and
    corrections make no difference. Raises NotFoundError for a number that was never issued.
    """
    document = issued_document(number)
    lines = lines_of(document)
    differences = [
        *content_differences(document, lines),
        *(each for line in lines for each in line_differences(document, line)),
        *total_differences(document, lines),
    ]
    return Proof(len(lines), sum(map(is_metered, lines)), differences)


def content_differences(document: Document, lines: Sequence[DocumentLine]) -> Iterator[Difference]:
    """Yield a difference if the document is not what was issued, byte for byte."""
    digest = digest_of(document, lines)
    if digest != document.digest:
        yield Difference(str(document), "the digest", document.digest or "nothing", digest)


def line_differences(document: Document, line: DocumentLine) -> Iterator[Difference]:
    place = f"{document}, line {line.position + 1} ({line.description})"
    with exact_arithmetic():
        of_steps = sum((Decimal(step["amount"]) for step in line.steps), Decimal(0))
    if line.steps and of_steps != line.amount:
        yield Difference(place, "the amount", format(line.amount, "f"), format(of_steps, "f"))
    if line.billing_period is None:
        return
    if is_metered(line) and cutoff_of(document) is None:
        yield Difference(place, "a cut-off of", "nothing", "what its usage had seen")
        return
    expected = [side_of(document, each) for each in expected_lines(document, line)]
    if not any(is_right(line, each) for each in expected):
        yield from named_differences(place, line, expected[0])


def side_of(document: Document, expected: Expected) -> Expected:
    """Return what is expected of a line from the side of whoever the document is in favour of."""
    if not isinstance(document, CreditNote):
        return expected
    steps = [negated(step) for step in expected.steps]
    return Expected(expected.quantity, -expected.amount, steps)


def is_right(line: DocumentLine, expected: Expected) -> bool:
    said = (line.quantity, line.amount, figures_of(line.steps))
    return said == (expected.quantity, expected.amount, figures_of(expected.steps))


def figures_of(steps: Sequence[dict[str, Any]]) -> list[tuple[str, Decimal]]:
    """Return what steps come to. A later release may put them in other words; the digest keeps those."""
    return [(step["kind"], Decimal(step["amount"])) for step in steps]


def named_differences(place: str, line: DocumentLine, expected: Expected) -> Iterator[Difference]:
    """Yield what a line says wrong; its steps only if its figures are right."""
    figures = [
        Difference(place, f"the {name}", format(said, "f"), format(wanted, "f"))
        for name, said, wanted in (
            ("quantity", line.quantity, expected.quantity),
            ("amount", line.amount, expected.amount),
        )
        if said != wanted
    ]
    yield from figures or [Difference(place, "the steps", str(line.steps), str(expected.steps))]


def total_differences(document: Document, lines: Sequence[DocumentLine]) -> Iterator[Difference]:
    """Yield where the lines do not add up to the subtotal, or the sums to the total."""
    with exact_arithmetic():
        subtotal = sum((line.amount for line in lines), Decimal(0))
        total = document.subtotal - document.discount + document.tax
        if isinstance(document, Invoice):
            total -= document.credits
    for name, said, wanted in (
        ("subtotal", document.subtotal, subtotal),
        ("total", document.total, total),
    ):
        if said != wanted:
            yield Difference(str(document), f"the {name}", format(said, "f"), format(wanted, "f"))
