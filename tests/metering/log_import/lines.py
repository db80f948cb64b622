"""Lines of access logs, and ways to import them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metering.models import Event
from metering.models.imports import COUNTS
from metering.services.log_import import ImportRun, import_log
from tests.factories import NOW

COMBINED = ' "https://example.com/" "Mozilla/5.0 (X11)"'
MAPPING: dict[str, Any] = {
    "event_type": "http.request",
    "customer": {"value": "acme"},
    "user": {"field": "remote_host"},
}


def line(
    request: str = "GET /v1/search?q=x HTTP/1.1",
    *,
    host: str = "192.0.2.7",
    user: str = "-",
    at: str = "17/May/2015:10:05:03 +0000",
    status: int = 200,
    size: str = "512",
    tail: str = COMBINED,
) -> str:
    return f'{host} - {user} [{at}] "{request}" {status} {size}{tail}'


def write(path: Path, lines: Sequence[str | bytes], ending: bytes = b"\n") -> Path:
    raw = (each.encode() if isinstance(each, str) else each for each in lines)
    path.write_bytes(b"".join(each + ending for each in raw))
    return path


def run_import(path: Path, *, log_format: str = "auto", **changes: Any) -> ImportRun:
    """Import a file with MAPPING, changed as told."""
    is_dry_run, workers = changes.pop("is_dry_run", False), changes.pop("workers", 0)
    return import_log(
        path=path,
        format_key=log_format,
        mapping=MAPPING | changes,
        clock=lambda: NOW,
        is_dry_run=is_dry_run,
        workers=workers,
    )


def counts(run: ImportRun) -> dict[str, int]:
    """Return the counts of an import that are not zero; every line is in one of them."""
    found = {name: getattr(run.log_import, name) for name in COUNTS}
    assert found["lines"] == sum(found.values()) - found["lines"]
    return {name: number for name, number in found.items() if number}


def endpoints() -> list[str]:
    return sorted(event.properties["endpoint"] for event in Event.objects.all())
