"""`manage.py import_log`."""

from io import StringIO
from pathlib import Path
from typing import override

import pytest
from django.core.management import CommandError, call_command

from customers.models import Customer
from metering.models import Event, LogImport
from tests.metering.log_import.lines import line, write

pytestmark = pytest.mark.django_db

MAPPING = "{event_type: http.request, customer: {field: remote_user}, user: {field: remote_host}}"


@pytest.fixture
def folder(tmp_path: Path, acme: Customer) -> Path:
    write(tmp_path / "access.log", [line(user="acme"), line(user="acme"), line(), "x"])
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path


def run(
    folder: Path, *arguments: str, log: str = "access.log", mapping: str = "mapping.yaml"
) -> str:
    out = StringIO()
    call_command(
        "import_log", str(folder / log), "--mapping", str(folder / mapping), *arguments, stdout=out
    )
    return out.getvalue()


def test_it_says_what_became_of_the_lines(folder: Path) -> None:
    assert run(folder, "--at", "2026-03-15T12:00:00Z").splitlines() == [
        "access.log, format combined:",
        "           4 read",
        "           2 counted",
        "           1 without a known customer",
        "           1 not readable",
        "Customer acme: 2",
        "Line 3: The line names no customer.",
        "Line 4: The line is not in the format combined.",
    ]
    assert Event.objects.count() == 2
    assert LogImport.objects.get().started_at.isoformat() == "2026-03-15T12:00:00+00:00"


def test_a_dry_run_says_the_same_and_stores_nothing(folder: Path) -> None:
    said = run(folder, "--dry-run").splitlines()
    assert said[-1] == "This was a dry run; nothing was stored."
    assert said[:-1] == run(folder).splitlines()
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"log": "missing.log"}, "A file cannot be read: .*missing.log"),
        ({"log": "."}, "A file cannot be read"),
        ({"mapping": "missing.yaml"}, "A file cannot be read: .*missing.yaml"),
        ({"mapping": "access.log"}, "The mapping"),
    ],
)
def test_files_that_cannot_be_used_are_told(
    folder: Path, arguments: dict[str, str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(folder, **arguments)
    assert not LogImport.objects.exists()


def test_an_unknown_format_is_told(folder: Path) -> None:
    with pytest.raises(CommandError, match="There is no log format 'w3c'; use one of combined"):
        run(folder, "--format", "w3c")


def test_a_terminal_gets_a_progress_bar(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(StringIO):
        @override
        def isatty(self) -> bool:
            return True

    call_command(
        "import_log", str(folder / "access.log"), "--mapping", str(folder / "mapping.yaml"),
        stdout=Terminal(),
    )  # fmt: skip
    assert "access.log" in capsys.readouterr().err
