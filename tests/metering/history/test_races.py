"""Whoever corrects, folds and reads at the same moment, each event counts as it says then."""

from collections.abc import Callable
from threading import Barrier
from typing import Any

import pytest

from config.errors import DomainError
from customers.models import Customer
from metering.models import Correction, Event, EventKey, Meter, PendingCorrection
from metering.selectors import usage as usage_selector
from metering.selectors.event_versions import event_versions, latest_version, locked_key
from metering.selectors.layouts import cut_alike
from metering.selectors.usage_sql import UsageStatement
from metering.services import corrections, folding
from metering.services.verification import verify_usage
from tests.factories import NOW, make_meter
from tests.metering.history.corrected import amend, at_once, store, used, void


@pytest.fixture
def calls(transactional_db: None) -> Meter:
    return make_meter("calls", group_by=["endpoint"])


def afterwards(original: Callable[..., Any], action: Callable[[], Any]) -> Callable[..., Any]:
    """Return `original`, after whose first call somebody else does something and commits it."""
    waiting = [action]

    def run(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if waiting:
            at_once(waiting.pop())
        return result

    return run


@pytest.mark.parametrize("correct", [void, lambda *named: amend(*named, properties={"n": 1})])
def test_a_correction_in_the_middle_of_folding_is_taken_in_later(
    calls: Meter,
    acme: Customer,
    monkeypatch: pytest.MonkeyPatch,
    correct: Callable[..., Correction],
) -> None:
    others = [make_meter("second"), make_meter("third", group_by=["n"])]
    store(acme, "good")
    store(acme, "wrong", n=2)
    add = afterwards(folding.add_to_roll_ups, lambda: correct(acme, "wrong"))
    monkeypatch.setattr(folding, "add_to_roll_ups", add)
    folding.fold_some(customer_id=acme.pk)
    expected = 2 - Correction.objects.filter(action="void").count()
    for meter in (calls, *others):
        assert used(meter, acme) == expected
    folding.fold_pending(at=NOW)
    assert list(verify_usage()) == []
    assert [used(meter, acme) for meter in (calls, *others)] == [expected] * 3


@pytest.mark.parametrize("step", ["take_corrections", "add_to_roll_ups"])
def test_a_correction_in_the_middle_of_a_recount_is_recounted_again(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for event_id in ("good", "wrong", "worse"):
        store(acme, event_id)
    folding.fold_pending(at=NOW)
    void(acme, "wrong")
    action = lambda: void(acme, "worse")  # noqa: E731
    monkeypatch.setattr(folding, step, afterwards(getattr(folding, step), action))
    assert folding.recount_some(customer_id=acme.pk) == 1
    assert PendingCorrection.objects.count() == 1
    assert used(calls, acme) == 1
    folding.fold_pending(at=NOW)
    assert not PendingCorrection.objects.exists()
    assert used(calls, acme) == 1
    assert list(verify_usage()) == []


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_correction_between_the_look_and_the_answer_is_noticed(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    store(acme, "good")
    store(acme, "wrong")
    folding.fold_pending(at=NOW)
    look = afterwards(cut_alike, lambda: void(acme, "wrong"))
    monkeypatch.setattr(usage_selector, "cut_alike", look)
    if not is_guarded:
        nothing = "SELECT 0::bigint, 0, NULL, FALSE WHERE FALSE"
        monkeypatch.setattr(UsageStatement, "outdated", nothing)
    assert used(calls, acme) == (1 if is_guarded else 2)


def test_a_batch_folded_while_the_day_is_recounted_counts_once(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(acme, "good")
    store(acme, "wrong")
    folding.fold_pending(at=NOW)
    void(acme, "wrong")
    store(acme, "late")
    barrier = Barrier(2, timeout=20)
    lock = folding.lock_usage

    def meet(customer_id: int) -> None:
        barrier.wait()
        lock(customer_id)

    monkeypatch.setattr(folding, "lock_usage", meet)
    at_once(
        lambda: folding.fold_some(customer_id=acme.pk),
        lambda: folding.recount_some(customer_id=acme.pk),
    )
    monkeypatch.setattr(folding, "lock_usage", lock)
    assert used(calls, acme) == 2
    assert list(verify_usage()) == []


def void_or_refusal(customer: Customer) -> str:
    try:
        return void(customer, "wrong").action
    except DomainError as refusal:
        return refusal.code


@pytest.mark.parametrize("is_guarded", [True, False])
def test_two_who_void_the_same_event_end_it_once(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    store(acme, "wrong")
    barrier = Barrier(2, timeout=20)

    def find_key(customer: Customer, event_id: str) -> EventKey | None:
        barrier.wait()
        return locked_key(customer, event_id) if is_guarded else EventKey.objects.get()

    def find_version(*named: Any) -> Event | None:
        version = latest_version(*named)
        if not is_guarded:
            barrier.wait()
        return version

    monkeypatch.setattr(corrections, "locked_key", find_key)
    monkeypatch.setattr(corrections, "latest_version", find_version)
    done = at_once(lambda: void_or_refusal(acme), lambda: void_or_refusal(acme))
    assert sorted(done) == (["already_void", "void"] if is_guarded else ["void", "void"])
    assert Correction.objects.count() == (1 if is_guarded else 2)


def test_amendments_of_the_same_event_follow_each_other(calls: Meter, acme: Customer) -> None:
    store(acme, "wrong", n=0)
    amendments = [
        lambda value=value: amend(acme, "wrong", properties={"n": value}) for value in range(1, 5)
    ]
    at_once(*amendments)
    versions = event_versions(customer=acme, event_id="wrong")
    assert len(versions) == 5
    ends = [version.voided_batch_id for version in versions]
    assert ends == [*(version.batch_id for version in versions[1:]), None]
    assert used(calls, acme) == 1
