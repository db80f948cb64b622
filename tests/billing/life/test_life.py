"""The life of a customer: whatever happens and whenever it is billed, the sum is the same.

`LIFE_EXAMPLES=2000 pytest tests/billing/life --hypothesis-seed=7` looks for lives that are billed
wrong, where a build tries a few.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing.models import Subscription
from billing.services.nightly import run_nightly
from tests.billing.killing import abandoned_cursors as abandoned_cursors
from tests.billing.killing import kills
from tests.billing.life import laws
from tests.billing.life.foot import COUPONS
from tests.billing.life.plain import PLACES, total
from tests.billing.life.tariffs import TARIFFS
from tests.billing.life.world import Beginning, House, World

pytestmark = kills
EXAMPLES = int(os.environ.get("LIFE_EXAMPLES", "5"))
# Beirut's 31 March has no midnight, and its 26 October an hour twice before the next.
ZONES = ["UTC", "America/New_York", "Asia/Beirut", "Europe/Paris", "Pacific/Auckland"]
# Of these months and years not all have the day; in Auckland it is the day after already.
STARTS = [datetime(2024, month, day, 13, 30, tzinfo=UTC) for month, day in [(1, 31), (2, 29)]]
LATER_STARTS = [*STARTS, STARTS[0] + timedelta(days=9)]
HOURS = st.integers(0, 24 * 75)
# Which statement a night ends at; most of them have fewer than the greatest.
STATEMENTS = st.integers(0, 130)
HOWS = ["fails", "fails for the neighbour"]
WHICH = st.integers(0, 3)
type Actions = list[tuple[str, int, int, Any]]
UNITS = st.integers(1, 12) | st.just(400)


def action(kind: str, what: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(kind), WHICH, HOURS, st.none() if what is None else what)


# What happens, to which subscription or document, how many hours after the start, and how: in the
# order in which it becomes known.
USAGE = [
    action("call", UNITS),
    action("take_back"),
    action("amend", st.just(0) | UNITS),
]
CHANGES = [
    action("plan", st.sampled_from(["pro", "team"])),
    action("seats", st.integers(0, 9)),
    action("pause"),
    action("resume"),
    action("move", st.sampled_from(ZONES)),
    action("redeem", st.sampled_from([*COUPONS])),
]
NIGHTS = [
    action("night", st.just("whole")),
    action("night", st.sampled_from(HOWS) | STATEMENTS),
    action("limits"),
]
BY_HAND = [
    action("waive"),
    action("reissue"),
    action("pay", st.booleans()),
    action(
        "credit",
        st.tuples(st.sampled_from(["all", "third", "line"]), st.sampled_from(["credit", "refund"])),
    ),
    action("charge", st.integers(1, 9)),
    action("bill", st.integers(1, 9)),
    action("grant", st.tuples(st.integers(1, 90), st.none() | st.integers(1, 60), st.booleans())),
]
# Much happens to usage and in nights, so that most lives have documents that put others right.
ACTIONS = st.one_of(*[*USAGE, *NIGHTS] * 3, *CHANGES, *BY_HAND)
AFTERWARDS = st.one_of(*[*USAGE, *NIGHTS] * 2, *BY_HAND)


def beginnings(starts: list[datetime]) -> st.SearchStrategy[Beginning]:
    tariff = st.sampled_from([*TARIFFS])
    return st.builds(
        Beginning,
        st.sampled_from(starts),
        st.sampled_from(["month", "week", "year"]),
        st.sampled_from(["calendar", "anniversary"]),
        st.sampled_from(["arrears", "advance"]),
        st.tuples(tariff, tariff),
        st.just(0) | st.integers(1, 20),
        st.lists(st.sampled_from([*COUPONS]), max_size=2, unique=True).map(tuple),
    )


BEGINS = st.tuples(beginnings(STARTS)) | st.tuples(beginnings(STARTS), beginnings(LATER_STARTS))
HOUSES = st.builds(
    House,
    st.sampled_from(ZONES),
    st.sampled_from([*PLACES]),
    st.lists(st.sampled_from(["20", "8.25"]), unique=True).map(tuple),
    st.booleans(),
    st.booleans(),
)


DAY = 24
# All at once: consolidated, in a currency of three places, with taxes, coupons, credits and a move.
RICH_HOUSE = House("Pacific/Auckland", "KWD", ("20", "8.25"), True, True)
RICH_BEGINS = (
    Beginning(
        STARTS[0],
        timing="advance",
        tariffs=("volume", "matrix"),
        coupons=("third-of-calls", "ten"),
    ),
    Beginning(
        LATER_STARTS[-1],
        interval="week",
        anchor="anniversary",
        tariffs=("percentage", "at least"),
        trial_days=3,
        coupons=("half", "first-seats"),
    ),
)
RICH_LIFE = [
    ("grant", 1, 0, (40, None, False)),
    ("call", 0, 30, 400),
    ("call", 0, 31, 7),
    ("night", 0, 10 * DAY, "fails for the neighbour"),
    ("night", 0, 12 * DAY, "whole"),
    ("plan", 0, 14 * DAY, "team"),
    ("night", 0, 20 * DAY, "whole"),
    ("call", 0, 5 * DAY, 9),
    ("seats", 1, 15 * DAY, 5),
    ("credit", 1, 0, ("third", "credit")),
    ("credit", 0, 0, ("all", "credit")),
    ("grant", 5, 0, (5, 90, False)),
    ("grant", 2, 0, (60, None, False)),
    ("night", 0, 33 * DAY, "whole"),
    ("waive", 0, 0, None),
    ("charge", 0, 0, 3),
    ("reissue", 0, 0, None),
    ("take_back", 1, 0, None),
    ("move", 0, 0, "America/New_York"),
    ("call", 0, 6 * DAY, 11),
    ("night", 0, 42 * DAY, 40),
    ("night", 0, 43 * DAY, "whole"),
    ("call", 0, 7 * DAY, 2),
]
RICH_END = [
    ("waive", 1, 0, None),
    ("amend", 4, 3 * DAY, 5),
    ("night", 0, 70 * DAY, "whole"),
    ("reissue", 0, 0, None),
]


class LifeTest(TestCase):
    @example(house=RICH_HOUSE, begins=RICH_BEGINS, actions=RICH_LIFE, end=60 * DAY, later=RICH_END)
    @example(
        house=House(),
        begins=(Beginning(datetime(2024, 2, 10, 13, 30, tzinfo=UTC)),),
        actions=[("call", 0, 0, 1), ("night", 0, 1309, "whole")],
        end=0,
        later=[],
    )
    @example(
        house=House(),
        begins=(Beginning(STARTS[0], anchor="anniversary", timing="advance"),),
        actions=[
            *[("night", 0, 1, "whole"), ("seats", 0, 200, 5), ("night", 0, 201, "whole")],
            *[("seats", 0, 300, 9), ("night", 0, 301, "whole")],
        ],
        end=310,
        later=[],
    )
    @settings(max_examples=EXAMPLES)
    @given(
        house=HOUSES,
        begins=BEGINS,
        actions=st.lists(ACTIONS, min_size=4, max_size=12),
        end=HOURS,
        later=st.lists(AFTERWARDS, max_size=4),
    )
    def test_all_documents_together_are_what_a_plain_statement_says(
        self,
        house: House,
        begins: tuple[Beginning, ...],
        actions: Actions,
        end: int,
        later: Actions,
    ) -> None:
        live(house, begins, actions, end, later)


def live(
    house: House, begins: tuple[Beginning, ...], actions: Actions, end: int, later: Actions
) -> None:
    world = World(house, begins)
    for action in actions:
        world.do(*action)
    world.end(world.after(end))
    for action in later:
        world.do(*action)
    world.settle()
    laws.assert_documents_say_what_was_used(world)
    laws.assert_customer_pays_what_is_right(world)
    laws.assert_feet(world)
    laws.assert_discounts_follow(world.customer)
    laws.assert_credit_notes(world.customer)
    laws.assert_credits(world.customer)
    laws.assert_whole(Subscription.objects.all())
    laws.assert_provable(world.customer)
    if world.neighbour:
        neighbour = world.neighbour.subscription.customer
        assert laws.billed(neighbour) == total(world.neighbour.life)
    assert run_nightly(at=world.now + timedelta(days=5)).invoices_drafted == 0
