"""`manage.py quote` as a process, with a database that is not there."""

import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest
from django.core.management import CommandError, call_command

from billing.rating.documents import listed
from billing.rating.price_models import PRICE_MODELS
from tests.processes import unmeasured

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "manage.py", "quote"]
ENVIRONMENT = unmeasured() | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
FEE = '{"currency": "USD", "prices": [{"key": "base", "model": "flat", "amount": "%s"}]}'


def run_quote(*arguments: str, lines: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        check=False,
    )


def results_of(finished: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def mixed() -> subprocess.CompletedProcess[str]:
    """Return the command's answer to good, bad and blank lines."""
    return run_quote(
        lines=[
            FEE % "10",
            '{"currency": "USD", "prices": [{"key": "base", "model": "fat"}]}',
            "",
            '{"currency": ',
            '{"currency": "USD", "prices": [{"key": "a", "model": "flat", "amount": 1e9999999999999999999}]}',
            "[" * 100_000,
            '"\\ud800"',
            '{"currency": "USD", "prices": [{"key": "a", "model": "flat", "amount": 0.105}]}',
        ]
    )


def test_a_bad_line_is_answered_in_its_place_and_the_others_are_priced(
    mixed: subprocess.CompletedProcess[str],
) -> None:
    results = results_of(mixed)
    assert ["error" in result for result in results] == [False, *[True] * 5, False]
    assert results[0]["total"] == "10.00"


def test_an_error_names_code_message_field_and_line(
    mixed: subprocess.CompletedProcess[str],
) -> None:
    assert results_of(mixed)[1]["error"] == {
        "code": "invalid",
        "message": f'Write {listed(PRICE_MODELS)}, not "fat".',
        "field": "prices.0.model",
        "line": 2,
    }


def test_lines_that_are_not_json_say_why(mixed: subprocess.CompletedProcess[str]) -> None:
    errors = [result["error"] for result in results_of(mixed)[2:6]]
    assert {error["code"] for error in errors} == {"invalid_json"}
    assert [error["line"] for error in errors] == [4, 5, 6, 7]
    assert errors[1]["message"] == "Write one JSON object a line: a number is too large."


def test_a_decimal_literal_without_quotes_keeps_its_digits(
    mixed: subprocess.CompletedProcess[str],
) -> None:
    last = results_of(mixed)[-1]["lines"][0]
    assert [last["amount"], last["steps"][0]["amount"]] == ["0.11", "0.105"]


def test_exit_code_tells_that_a_line_failed(mixed: subprocess.CompletedProcess[str]) -> None:
    assert mixed.returncode == 1


def quoted(documents: Path) -> list[Any]:
    """Return what the command writes in this process about a file."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("quote", str(documents), stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_documents_may_come_from_a_file(tmp_path: Path) -> None:
    documents = tmp_path / "quotes.jsonl"
    documents.write_text(FEE % "1" + "\n" + FEE % "2")
    assert [result["total"] for result in quoted(documents)] == ["1.00", "2.00"]


def test_bytes_that_are_not_text_spoil_their_own_line_alone(tmp_path: Path) -> None:
    documents = tmp_path / "quotes.jsonl"
    documents.write_bytes(b'{"currency": "\xff"}\n' + (FEE % "2").encode())
    results = quoted(documents)
    assert results[0]["error"]["code"] == "invalid_json"
    assert results[1]["total"] == "2.00"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    expected = r"nothing\.jsonl cannot be read: No such file or directory\."
    with pytest.raises(CommandError, match=expected):
        call_command("quote", str(tmp_path / "nothing.jsonl"))


def test_each_line_is_answered_before_the_next_is_sent() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT
    ) as process:
        assert [ask(process, amount) for amount in ("1", "2", "3")] == ["1.00", "2.00", "3.00"]
        pipe_of(process.stdin).close()
        assert process.wait(timeout=120) == 0


def ask(process: subprocess.Popen[str], amount: str) -> str:
    pipe_of(process.stdin).write(f"{FEE % amount}\n")
    pipe_of(process.stdin).flush()
    return str(json.loads(pipe_of(process.stdout).readline())["total"])


def pipe_of(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    documents = tmp_path / "quotes.jsonl"
    documents.write_text(f"{FEE % '1'}\n" * 5000)
    with subprocess.Popen(
        [*COMMAND, str(documents)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    ) as process:
        assert pipe_of(process.stdout).readline()
        pipe_of(process.stdout).close()
        assert pipe_of(process.stderr).read() == ""
        assert process.wait(timeout=120) == 1
