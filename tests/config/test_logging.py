"""Log lines, as a server and as a person reads them."""

import json
import logging
import logging.config
from typing import Any

import pytest

from config.logging import logging_settings


def formatter(*, is_json: bool) -> logging.Formatter:
    settings: dict[str, Any] = logging_settings(is_json=is_json)
    return logging.config.DictConfigurator(settings).configure_formatter(
        settings["formatters"]["lines"]
    )


def refusal(exception: Exception | None = None) -> logging.LogRecord:
    record = logging.LogRecord(
        "billing", logging.WARNING, "", 1, "Refused %s", ("it",),
        (type(exception), exception, None) if exception else None,
    )  # fmt: skip
    record.status_code = 400
    record.request = object()
    return record


def test_a_server_writes_one_json_object_a_line() -> None:
    line = json.loads(formatter(is_json=True).format(refusal(ValueError("broken"))))
    assert "ValueError: broken" in line.pop("exception")
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "Refused it",
        "level": "warning",
        "logger": "billing",
        "status_code": 400,
    }


@pytest.mark.parametrize("part", ["warning", "Refused it", "[billing]"])
def test_a_person_reads_plain_text(part: str) -> None:
    assert part in formatter(is_json=False).format(refusal())
