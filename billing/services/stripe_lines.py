"""Which lines of an invoice go to Stripe, and in which calls.

What is on Stripe's invoice adds up to ours to the minor unit: discounts and credits are negative
lines, and tax, which is rounded once an invoice, is shared out among the lines that it is on.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import batched

from billing.gateways.minor_units import smallest_step
from billing.gateways.values import LineDraft, TaxDraft
from billing.models import Invoice, InvoiceLine
from billing.rating.money import allocate_amount, minor_unit

# Stripe's limits: lines on an invoice, and (by practice) lines in one call.
MAX_LINES = 250
CHUNK = 100
REST = "rest"
ZERO = Decimal(0)
# Rows that say what the totals say too: they are not lines at Stripe.
TOTALS = frozenset({InvoiceLine.Kind.TAX, InvoiceLine.Kind.CREDIT})


def line_chunks(invoice: Invoice) -> list[tuple[LineDraft, ...]]:
    """Return the lines to send, in calls of at most 100.

    An invoice of more than 250 lines keeps its greatest amounts; the others become one line that
    says how many they are, and our own document has them all. The same invoice always gives the
    same chunks, because a chunk that is sent again must be the same request.
    """
    drafts = line_drafts(invoice, list(invoice.lines.order_by("position", "pk")))
    return list(batched(drafts, CHUNK, strict=False))


def line_drafts(invoice: Invoice, lines: Sequence[InvoiceLine]) -> list[LineDraft]:
    charged = charged_lines(invoice, lines)
    extra = total_lines(invoice, sum((line.amount for line in charged), start=ZERO))
    drafts = rolled_up(invoice, charged, MAX_LINES - len(extra))
    return taxed(invoice, [*drafts, *extra], taxes_of(invoice, lines))


def charged_lines(invoice: Invoice, lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    """Return the lines that make up the subtotal."""
    if sum((line.amount for line in lines), start=ZERO) == invoice.subtotal:
        return list(lines)
    return [line for line in lines if line.kind not in TOTALS]


def total_lines(invoice: Invoice, charged: Decimal) -> list[LineDraft]:
    """Return negative lines for what the totals take off, and are not among the lines already."""
    if charged + invoice.tax == invoice.total:
        return []
    return [
        LineDraft(
            reference=reference,
            description=description,
            amount=-amount,
            currency=invoice.currency,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
        )
        for reference, description, amount in (
            *discounts_of(invoice),
            ("credits", "Credits applied", invoice.credits),
        )
        if amount
    ]


def discounts_of(invoice: Invoice) -> list[tuple[str, str, Decimal]]:
    """Return what each coupon takes off: its reference, its name and the amount."""
    named = [
        (f"discount {each['coupon']}", each["name"], Decimal(each["amount"]))
        for each in invoice.discounts
    ]
    if sum((amount for _, _, amount in named), start=ZERO) == invoice.discount:
        return named
    return [("discount", "Discount", invoice.discount)]


def rolled_up(invoice: Invoice, lines: Sequence[InvoiceLine], limit: int) -> list[LineDraft]:
    if len(lines) <= limit:
        return [line_draft(invoice, line) for line in lines]
    by_size = sorted(lines, key=lambda line: (-abs(line.amount), line.position))
    kept = {line.pk for line in by_size[: limit - 1]}
    others = by_size[limit - 1 :]
    rest = LineDraft(
        reference=REST,
        description=f"and {len(others):,} more lines, listed in invoice {invoice.number}",
        amount=sum((line.amount for line in others), start=ZERO),
        currency=invoice.currency,
        period_start=min(line.period_start for line in others),
        period_end=max(line.period_end for line in others),
    )
    return [*(line_draft(invoice, line) for line in lines if line.pk in kept), rest]


def line_draft(invoice: Invoice, line: InvoiceLine) -> LineDraft:
    return LineDraft(
        reference=str(line.pk),
        description=line.description,
        amount=line.amount,
        currency=invoice.currency,
        period_start=line.period_start,
        period_end=line.period_end,
    )


def taxes_of(invoice: Invoice, lines: Sequence[InvoiceLine]) -> list[TaxDraft]:
    """Return the taxes of an invoice, whole: each by its own row, or all of it as one."""
    base = invoice.subtotal - invoice.discount
    if invoice.taxes:
        return [
            TaxDraft(
                tax["name"], Decimal(tax["percent"]), Decimal(tax["amount"]), Decimal(tax["base"])
            )
            for tax in invoice.taxes
            if Decimal(tax["amount"])
        ]
    rows = [line for line in lines if line.kind == InvoiceLine.Kind.TAX]
    if rows and sum((row.amount for row in rows), start=ZERO) == invoice.tax:
        return [
            TaxDraft(row.description, percent_of(row.amount, base), row.amount, base)
            for row in rows
            if row.amount
        ]
    if not invoice.tax:
        return []
    return [TaxDraft("Tax", percent_of(invoice.tax, base), invoice.tax, base)]


def percent_of(tax: Decimal, base: Decimal) -> Decimal:
    """Return the rate to show; the amounts beside it are the ones that count."""
    return (tax * 100 / base).quantize(Decimal("0.01")) if base > 0 else ZERO


def taxed(invoice: Invoice, drafts: list[LineDraft], taxes: Sequence[TaxDraft]) -> list[LineDraft]:
    """Share the taxes out among the lines that cost something, by the largest remainder."""
    for tax in taxes:
        weights = [max(draft.amount, ZERO) for draft in drafts]
        if tax.amount < 0 or not any(weights):
            drafts = [*drafts, tax_line(invoice, tax)]
            continue
        amounts = shared(tax.amount, weights, invoice.currency)
        bases = shared(tax.taxable_amount, weights, invoice.currency)
        drafts = [
            replace(draft, taxes=(*draft.taxes, replace(tax, amount=amount, taxable_amount=base)))
            if weight
            else draft
            for draft, weight, amount, base in zip(drafts, weights, amounts, bases, strict=True)
        ]
    return drafts


def shared(amount: Decimal, weights: Sequence[Decimal], currency: str) -> tuple[Decimal, ...]:
    """Share `amount` out in steps that Stripe has numbers for."""
    steps = max(smallest_step(currency) / minor_unit(currency), Decimal(1))
    parts = allocate_amount(amount / steps, weights, currency)
    return tuple(part * steps for part in parts)


def tax_line(invoice: Invoice, tax: TaxDraft) -> LineDraft:
    return LineDraft(
        reference=f"tax {tax.name}"[:40],
        description=tax.name,
        amount=tax.amount,
        currency=invoice.currency,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
    )
