"""Working out documents: what customers owe as of the instants at which something falls due.

An instant is the start or the end of a billing period, or a change within one. What is owed as of
it is worked out from what was known to hold then (and the usage there is now), so that the same
documents come about whether this runs every night or once after a month.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from billing.models import Invoice, InvoiceLine, SubscriptionPeriod
from billing.rating.periods import Period
from billing.selectors.accounts import RECOMPUTED, Account, Contract, read_accounts
from billing.selectors.charges import Charge, Question, charges_of
from billing.selectors.credits import read_wallets
from billing.selectors.lines_left import line_of, lines_left
from billing.selectors.one_offs import line_of_charge
from billing.selectors.statement_lines import StatementLine
from billing.selectors.statements import Statement, discounted, paid_with
from billing.selectors.subscriptions import upcoming_periods
from billing.selectors.usage import UsageReader
from config.bulk import copy_rows
from customers.models import Customer
from metering.selectors.cutoffs import Cutoff

LINE_FIELDS = tuple(each.name for each in fields(StatementLine))
ROW_FIELDS = {"subscription", "billing_period", "billed_price", "original", "one_off"}
LINE_ATTRIBUTES = tuple(field.attname for field in InvoiceLine._meta.concrete_fields)
PLAIN_FIELDS = tuple(name for name in LINE_FIELDS if name not in ROW_FIELDS)
Reason = Invoice.Reason
INSTANT = timedelta(microseconds=1)


@dataclass(slots=True)
class Document:
    """An invoice being worked out, as of an instant, for some of a customer's subscriptions."""

    account: Account
    reason: str
    at: datetime
    contracts: list[Contract]
    subscription_id: int | None
    currency: str
    invoice: Invoice | None = None
    charges: dict[int, list[Charge]] = field(default_factory=dict)
    statement: Statement | None = None
    finalize_at: datetime | None = None
    lines: list[InvoiceLine] = field(default_factory=list)


@dataclass(slots=True)
class Drafted:
    """What working out some accounts came to.

    `planned` are the documents that were to be worked out, `documents` those that say anything.
    """

    accounts: list[Account]
    planned: list[Document]
    documents: list[Document]
    created: int
    cutoff: Cutoff | None

    def due(self, at: datetime) -> list[Document]:
        """Return the documents that may be issued by an instant, in the order of theirs."""
        return [each for each in self.documents if each.finalize_at and each.finalize_at <= at]


def work_out_accounts(
    customers: Sequence[Customer], at: datetime, *, only_drafts: bool = False
) -> Drafted:
    """Work out all documents that fall due by `at`, and those that are still drafts once more.

    The caller has locked the customers, is in a transaction and writes them. With `only_drafts` no
    new document is begun.
    """
    accounts = read_accounts(customers)
    if not only_drafts:
        store_new_periods(accounts, at)
    documents = [document for account in accounts for document in planned(account, at, only_drafts)]
    reader = UsageReader()
    for document in documents:
        ask(document, reader)
    late = [] if only_drafts else late_documents(accounts, documents, at)
    for document in late:
        ask(document, reader)
    reader.read()
    kept = [document for document in documents if work_out(document, reader)]
    kept += [document for document in late if work_out_late(document, reader)]
    if not only_drafts:
        kept += threshold_documents(accounts, at, reader)
        kept += own_documents(accounts, at)
    show_credits(kept, at)
    order_of_issue(kept)
    created = sum(document.invoice is None for document in kept)
    return Drafted(accounts, documents, kept, created, reader.cutoff)


def show_credits(documents: Sequence[Document], at: datetime) -> None:
    """Say on drafts what credits would pay of them now; they are taken when one is issued."""
    wallets = read_wallets([document.account.customer for document in documents], at)
    for document in documents:
        if document.statement is not None:
            document.statement = paid_with(wallets, document.statement)


def order_of_issue(documents: Sequence[Document]) -> None:
    """Let no document be issued before an earlier one that it takes for granted."""
    latest: dict[int, datetime] = {}
    for document in documents:
        if document.reason not in RECOMPUTED:
            continue
        ids = [contract.subscription.pk for contract in document.contracts]
        assert document.finalize_at is not None  # noqa: S101  # Every one kept has lines.
        before = [latest[pk] for pk in ids if pk in latest]
        document.finalize_at = max([document.finalize_at, *before])
        latest.update(dict.fromkeys(ids, document.finalize_at))


def store_new_periods(accounts: Iterable[Account], at: datetime) -> None:
    new: list[SubscriptionPeriod] = []
    for account in accounts:
        for contract in account.contracts:
            begun = list(upcoming_periods(contract, at))
            contract.periods += begun
            contract.last_period = begun[-1] if begun else contract.last_period
            for period in begun:
                # No instant to come will close one that a change of the past has put before them.
                if contract.subscription.is_billed(contract.end_of(period)):
                    period.closed_at = at
            new += begun
    copy_rows(new)


# Planning


def planned(account: Account, at: datetime, only_drafts: bool) -> list[Document]:
    """Return the documents to work out, in the order of their instants."""
    documents: dict[tuple[Any, ...], Document] = {}
    for draft in account.drafts:
        document = document_of_draft(account, draft)
        documents[group_of(document)] = document
    if not only_drafts:
        for contract in account.contracts:
            for instant, reason in new_instants(contract, at):
                document = new_document(account, contract, instant, reason)
                if group_of(document) not in documents and account.is_past(instant):
                    # All had its invoice of that instant before this was known to fall due.
                    document.subscription_id = contract.subscription.pk
                known = documents.setdefault(group_of(document), document)
                if contract not in known.contracts:
                    known.contracts.append(contract)
    return sorted(documents.values(), key=lambda each: (each.at, each.invoice is None))


def group_of(document: Document) -> tuple[Any, ...]:
    return document.at, document.reason, document.subscription_id, document.currency


def document_of_draft(account: Account, draft: Invoice) -> Document:
    assert draft.billing_at is not None  # noqa: S101  # Drafts without are not read.
    if draft.subscription_id is not None:
        contracts = [account.contract(draft.subscription_id)]
    else:
        contracts = [
            each
            for each in account.contracts
            if each.currency == draft.currency and draft.billing_at in instants(each)
        ]
    return Document(
        account=account,
        reason=draft.billing_reason,
        at=draft.billing_at,
        contracts=contracts,
        subscription_id=draft.subscription_id,
        currency=draft.currency,
        invoice=draft,
    )


def new_document(account: Account, contract: Contract, at: datetime, reason: str) -> Document:
    is_shared = account.customer.consolidate_invoices
    return Document(
        account=account,
        reason=reason,
        at=at,
        contracts=[contract],
        subscription_id=None if is_shared else contract.subscription.pk,
        currency=contract.currency,
    )


def instants(contract: Contract) -> dict[datetime, str]:
    """Return the instants at which something falls due, and why, as far as periods are unsettled."""
    changes = {row.start_at: Reason.CHANGE for row in contract.rows}
    bounds = {
        bound: Reason.CYCLE
        for period in contract.periods
        for bound in (period.period_start, contract.end_of(period))
    }
    return {**changes, **bounds}


def new_instants(contract: Contract, at: datetime) -> Iterator[tuple[datetime, str]]:
    subscription = contract.subscription
    for instant, reason in instants(contract).items():
        is_new = subscription.billed_until is None or instant > subscription.billed_until
        is_within = subscription.end_at is None or instant <= subscription.end_at
        if is_new and is_within and subscription.start_at <= instant <= at:
            yield instant, reason


def late_documents(
    accounts: Iterable[Account], documents: Sequence[Document], at: datetime
) -> list[Document]:
    """Return a document for each subscription that may owe a difference and gets no other.

    What becomes of it is decided once the difference is known. A run as of before what is billed
    already does not know what has changed since, and compares nothing.
    """
    served = {id(contract) for document in documents for contract in document.contracts}
    found = []
    for account in accounts:
        for contract in account.contracts:
            stale = [period for period in contract.periods if period.is_stale]
            is_past = contract.subscription.is_billed(at + INSTANT)
            if stale and not is_past and id(contract) not in served:
                late = replace(contract, periods=stale)
                document = new_document(account, late, at, Reason.ADJUSTMENT)
                document.subscription_id = contract.subscription.pk
                found.append(document)
    return found


# Working out


def ask(document: Document, reader: UsageReader) -> None:
    question = Question(at=document.at)
    for contract in document.contracts:
        document.charges[contract.subscription.pk] = list(charges_of(contract, question, reader))


def work_out(document: Document, reader: UsageReader) -> bool:
    """Work out what a document says; return whether it says anything."""
    lines = owed_lines(document, reader)
    if not lines or (document.reason == Reason.CHANGE and not any_of_now(document, lines)):
        return False
    settle(document, lines)
    return True


def owed_lines(document: Document, reader: UsageReader) -> list[StatementLine]:
    ledger = document.account.ledger
    return [
        line
        for contract in document.contracts
        for line in lines_left(
            contract, document.charges[contract.subscription.pk], ledger, document.at, reader
        )
    ]


def any_of_now(document: Document, lines: Sequence[StatementLine]) -> bool:
    """Say whether a change within a period asks for a document; what is late waits for its end."""
    return any(
        line.billing_period is not None and line.billing_period.period_end > document.at
        for line in lines
    )


def work_out_late(document: Document, reader: UsageReader) -> bool:
    """Work out a difference; return whether it is to be billed now.

    It waits for the next document of its subscription, unless there will be none. A change of the
    past within a running period does not: that may go on for a year. Without a difference the
    periods are settled.
    """
    [contract] = document.contracts
    lines = owed_lines(document, reader)
    whole = document.account.contract(contract.subscription.pk)
    running = [period for period in contract.periods if period.closed_at is None]
    is_now = whole.is_over(document.at) or any(line.billing_period in running for line in lines)
    mark_compared(running if lines else contract.periods)
    if not lines or not is_now:
        return False
    settle(document, lines)
    return True


def mark_compared(periods: Sequence[SubscriptionPeriod]) -> None:
    for period in periods:
        period.is_stale = False
    keys = [period.pk for period in periods]
    SubscriptionPeriod.objects.filter(pk__in=keys).update(is_stale=False)


def settle(document: Document, lines: Sequence[StatementLine]) -> Statement:
    """Give a document its lines; what they bill counts for the documents after it.

    Charges that waited for an invoice are on the first that is not due before they were asked for.
    """
    ledger = document.account.ledger
    document.finalize_at = end_of_grace(document)
    waiting = document.account.take_waiting(document.currency, document.finalize_at)
    period = period_of(document, lines)
    lines = [*lines, *map(line_of_charge, waiting)]
    statement = discounted(document.account, document.currency, period, lines)
    document.statement = statement
    document.lines = [invoice_line(position, line) for position, line in enumerate(statement.lines)]
    for line in document.lines:
        if line.billing_period_id is not None:
            ledger.add(line)
    return statement


def invoice_line(position: int, line: StatementLine) -> InvoiceLine:
    values = {
        **{name: getattr(line, name) for name in PLAIN_FIELDS},
        "position": position,
        # By their keys: it takes Django longer to follow what is not looked at again.
        "subscription_id": getattr(line.subscription, "pk", None),
        "billing_period_id": getattr(line.billing_period, "pk", None),
        "billed_price_id": getattr(line.billed_price, "pk", None),
        "one_off_id": getattr(line.one_off, "pk", None),
    }
    # By their place: by their name they take Django twice as long.
    made = InvoiceLine(*map(values.get, LINE_ATTRIBUTES))
    if line.original is not None:
        # It may have no key yet: see `write`.
        made.original = line.original
    return made


def period_of(document: Document, lines: Sequence[StatementLine]) -> Period:
    """Return the time that a document is about: what ended with it, otherwise what its lines say."""
    ended = [period for period in closing(document) if period.period_start < document.at]
    if ended:
        return Period(min(period.period_start for period in ended), document.at)
    if not lines:
        return Period(document.at, document.at + INSTANT)
    return Period(min(line.period_start for line in lines), max(line.period_end for line in lines))


def closing(document: Document) -> list[SubscriptionPeriod]:
    """Return the periods that end at a document's instant."""
    return [
        period
        for contract in document.contracts
        for period in contract.periods
        if contract.end_of(period) == document.at
    ]


def end_of_grace(document: Document) -> datetime:
    """Return from when a document moves no more; what waits for no usage is final at once."""
    if document.reason != Reason.CYCLE or not any(
        charge.is_due and charge.listed.price.timing == "arrears"
        for charges in document.charges.values()
        for charge in charges
        if charge.contract.end_of(charge.period) == document.at
    ):
        return document.at
    hours = document.account.customer.grace_hours
    if hours is None:
        hours = max(
            contract.list_at(document.at).version.grace_hours for contract in document.contracts
        )
    return document.at + timedelta(hours=hours)


# Thresholds


def threshold_documents(
    accounts: Iterable[Account], at: datetime, reader: UsageReader
) -> list[Document]:
    """Return a document for each running period whose open usage has reached its plan's limit."""
    asked = []
    question = Question(at=at, used_until=at)
    for account in accounts:
        for contract in account.contracts:
            if not contract.subscription.is_active(at):
                continue
            if contract.list_at(at).threshold is not None:
                running = [
                    each
                    for each in contract.periods
                    if each.period_end > at and each.closed_at is None
                ]
                part = replace(contract, periods=running)
                asked.append((account, part, list(charges_of(part, question, reader))))
    reader.read()
    return [
        document
        for account, contract, charges in asked
        if (document := threshold_document(account, contract, charges, at, reader))
    ]


def threshold_document(
    account: Account, contract: Contract, charges: list[Charge], at: datetime, reader: UsageReader
) -> Document | None:
    lines = [
        replace(line, period_end=min(line.period_end, at))
        for charge in sorted(charges, key=lambda charge: charge.order)
        if charge.want is not None and not charge.is_due
        if (line := line_of(charge, account.ledger, at, reader, is_final=False)) and line.amount
    ]
    limit = contract.list_at(at).threshold
    if limit is None or sum(line.amount for line in lines) < limit:
        return None
    document = new_document(account, contract, at, Reason.THRESHOLD)
    document.subscription_id = contract.subscription.pk
    settle(document, lines)
    return document


# Charges that no other document will come for


def own_documents(accounts: Iterable[Account], at: datetime) -> list[Document]:
    """Return a document for the charges that wait for an invoice that will not come by itself."""
    documents = []
    for account in accounts:
        asked = {each.currency for each in account.waiting if each.created_at <= at}
        for currency in sorted(asked):
            if not account.has_next(currency, at):
                document = Document(account, Reason.MANUAL, at, [], None, currency)
                statement = settle(document, [])
                # It is of an instant, not of a time.
                document.statement = replace(statement, period_end=at)
                documents.append(document)
    return documents
