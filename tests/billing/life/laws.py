"""What holds for all documents of a customer together, whatever happened."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from django.db.models import Sum

from billing.models import (
    CreditEntry,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    Subscription,
    SubscriptionPeriod,
)
from billing.services.proving import prove_document
from customers.models import Customer
from tests.billing.life.foot import COUPONS, Line, taken_off, tax_of, with_coupons
from tests.billing.life.plain import PLACES, together
from tests.billing.life.world import World

ZERO = Decimal(0)
type Charge = tuple[int | None, int | None, datetime]


def assert_documents_say_what_was_used(world: World) -> None:
    """Check that lines bill each charge for what the plain statement says, adjustments included."""
    expected = together([charge for _, charge in world.charges()])
    assert billed(world.customer) == expected


def billed(customer: Customer) -> Decimal:
    """Return what lines bill before coupons and taxes; what was billed again counts once."""
    assert not Invoice.objects.filter(customer=customer, status="draft").exists()
    lines = InvoiceLine.objects.filter(invoice__customer=customer, invoice__is_reissued=False)
    back = CreditNoteLine.objects.filter(credit_note__customer=customer)
    back = back.filter(credit_note__reason=CreditNote.Reason.ADJUSTMENT)
    back = back.exclude(credit_note__invoice__is_reissued=True)
    return sum_of(lines) - sum_of(back.exclude(billing_period=None))


def sum_of(rows: object) -> Decimal:
    found = rows.aggregate(sum=Sum("amount"))["sum"]  # type: ignore[attr-defined]
    return found or ZERO


def assert_customer_pays_what_is_right(world: World) -> None:
    """Check the money that is asked for in the end, coupons and taxes included.

    What was waived or given back by hand is not asked for, or perhaps less of it where less usage
    turned out to be owed anyway. Each rounding may move a coin.
    """
    tax = 1 + sum((Fraction(each) for each in world.house.taxes), Fraction(0)) / 100
    most = tax * sum(
        (
            with_coupons(charge, side.redeemed) if side else Fraction(charge.amount)
            for side, charge in world.charges()
        ),
        Fraction(0),
    )
    invoices = Invoice.objects.filter(customer=world.customer)
    asked = sum((each.total + each.credits for each in invoices.exclude(status="void")), ZERO)
    notes = CreditNote.objects.filter(customer=world.customer)
    asked -= sum((each.total for each in notes), ZERO)
    waived = invoices.filter(status="void", is_reissued=False)
    kind = sum((each.total + each.credits for each in waived), ZERO)
    kind += sum((each.total for each in notes.exclude(reason="adjustment")), ZERO)
    coins = coins_of_rounding(world)
    assert Fraction(asked) <= most + coins, (asked, most)
    if world.is_sure:
        assert Fraction(asked) >= most - Fraction(kind) - coins, (asked, most, kind)


def coins_of_rounding(world: World) -> Fraction:
    """Return how much roundings may move: one for each tax, coupon and line given back."""
    documents = Invoice.objects.count() + CreditNote.objects.count()
    lines = InvoiceLine.objects.filter(amount__lt=0).count() + CreditNoteLine.objects.count()
    coupons = sum(len(side.redeemed) for side in world.sides)
    each = documents * (len(world.house.taxes) + coupons) + (lines if coupons else 0)
    return Fraction(each, 10 ** PLACES[world.house.currency])


def assert_feet(world: World) -> None:
    """Check what each invoice makes of its lines: coupons, taxes, credits, total."""
    used_up: list[int] = []
    for invoice in Invoice.objects.filter(customer=world.customer):
        lines = [
            Line(each.amount, each.discount, each.subscription_id, each.price, each.period_start)
            for each in invoice.lines.order_by("position")
        ]
        off = sum((each.discount for each in lines if each.amount > 0), ZERO)
        assert off == sum((Decimal(each["amount"]) for each in invoice.discounts), ZERO)
        assert_coupons(world, invoice, lines)
        left = sum((each.amount - each.discount for each in lines), ZERO)
        taxes = [tax_of(left, each, invoice.currency) for each in world.house.taxes]
        assert sorted(Decimal(tax["amount"]) for tax in invoice.taxes) == sorted(taxes)
        assert invoice.total + invoice.credits == left + sum(taxes, ZERO)
        assert invoice.total >= 0
        if not invoice.is_reissued:
            once = (each for each in invoice.discounts if COUPONS[each["coupon"]].is_once)
            used_up += [each["redemption"] for each in once]
    assert len(used_up) == len({*used_up})


def assert_coupons(world: World, invoice: Invoice, lines: list[Line]) -> None:
    """Check what each coupon that a document names took off, in their order."""
    redemptions = {
        row.pk: (side.subscription.pk, each)
        for side in world.sides
        for each in side.redeemed
        for row in side.subscription.redemptions.filter(coupon__key=each.key)
    }
    named = [each["redemption"] for each in invoice.discounts]
    # Others may be for once, and used up, or have come later.
    wanted = [
        pk
        for pk, (_, each) in redemptions.items()
        if pk in named or (each.from_start and not each.coupon.is_once)
    ]
    found = taken_off(lines, [redemptions[pk] for pk in wanted], invoice.currency)
    said = {each["redemption"]: Decimal(each["amount"]) for each in invoice.discounts}
    assert {pk: off for pk, off in zip(wanted, found, strict=True) if off} == said


def assert_discounts_follow(customer: Customer) -> None:
    """Check that of what a charge is billed, coupons took off a part: no more, and no less than 0."""
    amounts: dict[Charge, Decimal] = defaultdict(Decimal)
    discounts: dict[Charge, Decimal] = defaultdict(Decimal)
    lines: dict[Charge, int] = defaultdict(int)
    coin = Decimal(1).scaleb(-PLACES[customer.currency])
    for sign, line in lines_of_periods(customer):
        key = line.billing_period_id, line.billed_price_id, line.period_start
        amounts[key] += sign * line.amount
        discounts[key] += sign * line.discount
        lines[key] += 1
    for key, amount in amounts.items():
        slack = coin * lines[key]
        assert -slack <= discounts[key] <= amount + slack, (amount, discounts[key])


def lines_of_periods(customer: Customer) -> Iterator[tuple[int, InvoiceLine | CreditNoteLine]]:
    billed = InvoiceLine.objects.filter(invoice__customer=customer, invoice__is_reissued=False)
    for line in billed.exclude(billing_period=None):
        yield 1, line
    back = CreditNoteLine.objects.filter(
        credit_note__customer=customer, credit_note__invoice__is_reissued=False
    )
    for note_line in back.exclude(billing_period=None):
        yield -1, note_line


def assert_credit_notes(customer: Customer) -> None:
    """Check that none gives back more than there is, and that each says what becomes of it."""
    for invoice in Invoice.objects.filter(customer=customer):
        notes = list(invoice.credit_notes.all())
        given = sum((note.total for note in notes), ZERO)
        assert all(note.total >= 0 for note in notes)
        assert given <= (0 if invoice.status == "void" else invoice.total + invoice.credits)
        assert sum((note.taken_off_due for note in notes), ZERO) == invoice.amount_credited
        for note in notes:
            assert note.total == note.taken_off_due + note.refunded + note.granted
        if invoice.status == "void":
            continue
        paid = invoice.amount_paid + invoice.amount_credited + invoice.amount_due
        assert paid == invoice.total
        assert (invoice.status == "paid") == (not invoice.amount_due)


def assert_credits(customer: Customer) -> None:
    """Check the ledger: granted - used - expired + returned, in order of priority, expiry, age."""
    grants = {grant.pk: grant for grant in customer.credit_grants.all()}
    order = sorted(
        grants.values(),
        key=lambda each: (
            each.priority,
            each.expires_at is None,
            each.expires_at or each.created_at,
            each.created_at,
            each.pk,
        ),
    )
    balance = dict.fromkeys(grants, ZERO)
    used: dict[int, Decimal] = defaultdict(Decimal)
    for entry in CreditEntry.objects.filter(grant__customer=customer).order_by("pk"):
        grant = grants[entry.grant_id]
        if entry.kind == "applied":
            assert grant.expires_at is None or entry.at < grant.expires_at
            before = order[: order.index(grant)]
            assert not any(
                balance[each.pk] > 0
                for each in before
                if not each.prices
                and each.effective_at <= entry.at
                and (each.expires_at is None or entry.at < each.expires_at)
            )
            used[entry.invoice_id or 0] -= entry.amount
        balance[grant.pk] += entry.amount
        assert 0 <= balance[grant.pk] <= grant.amount
    for invoice in Invoice.objects.filter(customer=customer):
        assert invoice.credits == used[invoice.pk]
    returned = CreditEntry.objects.filter(grant__customer=customer, kind="returned")
    voids = Invoice.objects.filter(customer=customer, status="void")
    assert (returned.aggregate(sum=Sum("amount"))["sum"] or ZERO) == sum(
        (each.credits for each in voids), ZERO
    )


def assert_whole(subscriptions: Iterable[Subscription]) -> None:
    """Check that periods follow one another and are all closed, and that numbers have no gap."""
    for subscription in subscriptions:
        periods = list(SubscriptionPeriod.objects.filter(subscription=subscription))
        assert all(period.closed_at and not period.is_stale for period in periods)
        for before, after in pairwise(periods):
            assert before.period_end == after.period_start
    for prefix, model in (("INV", Invoice), ("CN", CreditNote)):
        numbers = sorted(str(each) for each in model.objects.issued())
        assert numbers == [f"{prefix}-{n:06}" for n in range(1, len(numbers) + 1)]


def assert_provable(customer: Customer) -> None:
    """Check that each document follows from the raw events that it had seen (I9)."""
    for model in (Invoice, CreditNote):
        for document in model.objects.issued().filter(customer=customer):
            assert prove_document(number=str(document)).differences == []
