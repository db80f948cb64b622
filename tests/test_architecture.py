"""What import contracts cannot see: relations, names in strings, sizes, and tests that must exist.

Each rule is a function that returns its breaches, so that a planted one shows it can fail.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.apps import apps
from django.db import models
from django.test.utils import isolate_apps
from django.utils.module_loading import import_string

from config.schedules import RECURRING
from metering import aggregations

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("customers", "metering", "billing")
PACKAGES = ("config", *LAYERS, "demo")
LONGEST_FILE = 500


def sources(*packages: str) -> Iterator[tuple[str, str]]:
    """Return (path, text) of each source file; migrations are written by a program."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def upward_relations(found: Iterable[type[models.Model]]) -> list[str]:
    """Return the relations of models to an app above their own."""
    return [
        f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}"
        for model in found
        for field in model._meta.get_fields()
        if field.is_relation
        and not field.auto_created
        and isinstance(field.related_model, type)
        and is_above(field.related_model._meta.app_label, model._meta.app_label)
    ]


def is_above(app: str, other: str) -> bool:
    return app in LAYERS and other in LAYERS and LAYERS.index(app) > LAYERS.index(other)


def forbidden_names(source: str) -> list[str]:
    """Return uses of `float`, of apps.get_model, and of row counts, which Citus reports wrong."""
    names = {"float", "get_model", "rowcount"}
    return [
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id in names)
        or (isinstance(node, ast.Attribute) and node.attr in names)
    ]


def queued_tasks(source: str) -> list[str]:
    """Return the names that are queued; `?` for one that is not written out."""
    return [
        str(call.args[0].value) if isinstance(call.args[0], ast.Constant) else "?"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).rpartition(".")[2] == "enqueue_on_commit"
    ]


def strings(source: str) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_models_relate_only_to_their_own_app_and_those_below() -> None:
    assert upward_relations(apps.get_models()) == []


@isolate_apps("customers", "billing")
def test_an_upward_relation_in_a_string_is_found() -> None:
    class Invoice(models.Model):
        class Meta:
            app_label = "billing"

    class Person(models.Model):
        last_invoice = models.ForeignKey("billing.Invoice", on_delete=models.CASCADE)

        class Meta:
            app_label = "customers"

    assert upward_relations([Invoice, Person]) == [
        "customers.Person.last_invoice -> billing.Invoice"
    ]


def test_no_forbidden_name_is_used_in_the_apps() -> None:
    breaches = {path: forbidden_names(source) for path, source in sources(*LAYERS)}
    assert {path: names for path, names in breaches.items() if names} == {}


def test_forbidden_names_are_found() -> None:
    assert forbidden_names("x: float = float(1)") == ["float", "float"]
    assert forbidden_names('apps.get_model("billing", "Plan")') == ["get_model"]
    assert forbidden_names("cursor.rowcount") == ["rowcount"]


def test_everything_queued_or_scheduled_is_there_to_be_called() -> None:
    queued = {name for _, source in sources(*PACKAGES) for name in queued_tasks(source)}
    assert queued
    for name in queued | {recurring.task for recurring in RECURRING}:
        assert ".tasks." in name
        assert callable(import_string(name))


def test_a_queued_name_that_is_not_written_out_is_found() -> None:
    assert queued_tasks('queue.enqueue_on_commit("a.tasks.b", 1)') == ["a.tasks.b"]
    assert queued_tasks("enqueue_on_commit(name, 1)") == ["?"]


def test_import_contracts_hold() -> None:
    finished = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_no_source_file_is_too_long() -> None:
    lengths = {
        path: len(source.splitlines()) for path, source in sources(*PACKAGES, "tests", "benchmarks")
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_management_command_has_a_test() -> None:
    tested = {text for _, source in sources("tests") for text in strings(source)}
    commands = {
        path.stem
        for package in PACKAGES
        for path in (ROOT / package).glob("management/commands/[a-z]*.py")
    }
    assert commands
    assert commands - tested == set()


def test_every_aggregation_has_a_test() -> None:
    tested = {text for _, source in sources("tests/metering") for text in strings(source)}
    assert aggregations.REGISTRY.keys() - tested == set()
