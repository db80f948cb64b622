"""`manage.py backtest --plan KEY --since DATE --until DATE`."""

import csv
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing import formatting
from billing.models import Plan, PlanVersion
from billing.selectors.backtests import HEADER, BackTest, back_test, cells_of
from config.csv_files import inert_cells
from config.errors import DomainError
from config.management.arguments import instant


def day(text: str) -> date:
    """Return a calendar day, as the `type` of an argument."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day: write one such as 2026-02-01.") from error


class Command(BaseCommand):
    help = (
        "Print what every customer would have paid on another plan for past usage, beside what "
        "its own terms come to. Nothing is stored."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--plan", required=True, help="The key of the plan to try.")
        parser.add_argument(
            "--plan-version", type=int, help="Which of its versions, a draft too; the one sold now."
        )
        parser.add_argument("--currency", help="As it is sold in this currency.")
        parser.add_argument("--since", type=day, required=True, help="The first day.")
        parser.add_argument("--until", type=day, required=True, help="The day after the last one.")
        parser.add_argument("--from-plan", help="Only customers of the plan with this key.")
        parser.add_argument("--csv", type=Path, help="Write the customers into this file, too.")
        parser.add_argument("--at", type=instant, help="Leave out usage from this instant on.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            test = back_test(
                version=version_named(
                    options["plan"], options["plan_version"], options["currency"]
                ),
                since=options["since"],
                until=options["until"],
                at=options["at"] or timezone.now(),
                plan=None if options["from_plan"] is None else plan_named(options["from_plan"]),
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        if options["csv"] is not None:
            write_csv(options["csv"], test)
        self.report(test)

    def report(self, test: BackTest) -> None:
        currency = test.version.currency
        self.stdout.write(
            f"{test.version} in {currency}, {test.since} until {test.until}, before discounts and tax"
        )
        for each in test.outcomes:
            own, other, more = (
                money(amount, currency)
                for amount in (each.own_amount, each.other_amount, each.difference)
            )
            self.stdout.write(
                f"{each.customer.key:<30} {own:>16} {other:>16} {more:>16}  {each.plans}"
            )
        own, other, more = (
            money(amount, currency)
            for amount in (test.own_amount, test.other_amount, test.difference)
        )
        self.stdout.write(f"{'total':<30} {own:>16} {other:>16} {more:>16}")
        self.stdout.write(f"{test.losers} would have paid more, {test.winners} less.")
        for subscription in test.left_out:
            self.stderr.write(
                f"{subscription.customer.key} is left out: it pays in "
                f"{subscription.plan_version.currency}."
            )


def plan_named(key: str) -> Plan:
    plan = Plan.objects.filter(key=key).first()
    if plan is None:
        raise CommandError(f"There is no plan {key!r}.")
    return plan


def version_named(key: str, number: int | None, currency: str | None) -> PlanVersion:
    plan = plan_named(key)
    if number is None:
        version = plan.current_version(currency)
        missing = f"{key} is not sold{f' in {currency}' if currency else ' yet'}"
    else:
        version = plan.versions.filter(number=number).first()
        missing = f"{key} has no version {number}"
    if version is None:
        raise CommandError(f"{missing}: name another with --plan-version or --currency.")
    return version


def money(amount: Any, currency: str) -> str:
    return formatting.money(amount, currency, formatting.DEFAULT_LOCALE)


def write_csv(path: Path, test: BackTest) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(inert_cells(cells) for cells in cells_of(test))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
