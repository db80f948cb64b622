"""Watches the SQL of every request of the suite on the tables that grow with events.

A request is what Django's signals say it is: a call of the test client, or one answered by a live
server of the test's own process. The statements are taken from psycopg, so COPY and raw cursors
are seen too. A statement that would not run on distributed PostgreSQL, or would have to ask every
machine, fails the test that made it (DESIGN: "Growing past one machine").
"""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.signals import request_finished, request_started
from psycopg.sql import Composable

from metering.tables import EVENT_TABLES

# A partition has its table's name and a suffix.
EVENT_TABLE = re.compile(rf'(?<![\w.])"?(?:{"|".join(EVENT_TABLES)})(?:_\w+)?"?(?![\w.])')
NAMED_TABLE = re.compile(
    rf'\b(?:FROM|JOIN|UPDATE|USING|,)\s+(?:ONLY\s+)?{EVENT_TABLE.pattern}(?!"?\.)', re.IGNORECASE
)
WRITTEN_COLUMNS = re.compile(
    rf"\b(?:INSERT\s+INTO|COPY)\s+{EVENT_TABLE.pattern}\s*\((?P<columns>[^)]*)\)", re.IGNORECASE
)
CUSTOMER_CONDITION = re.compile(
    r"""
    customer_id"?\s*(?:=|IN\b)                          # customer_id = ..., customer_id IN ...
    | \([^()]*\bcustomer_id\b[^()]*\)\s*(?:=|IN\b|<|>)  # (customer_id, id) IN ...
    | \bUSING\s*\([^()]*\bcustomer_id\b                 # JOIN ... USING (customer_id, id)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# How the ORM writes OuterRef: the column of the outer query stands in brackets of its own.
OUTER_REFERENCE = re.compile(r'customer_id"?\s*=\s*\("\w+"\."(?!customer_id)\w+"\)', re.IGNORECASE)
REFUSED = {
    "uses GROUPING SETS": re.compile(r"\b(?:GROUPING\s+SETS|ROLLUP|CUBE)\s*\(", re.IGNORECASE),
    "uses WITH RECURSIVE": re.compile(r"\bWITH\s+RECURSIVE\b", re.IGNORECASE),
    "uses MERGE": re.compile(r"^\s*MERGE\b", re.IGNORECASE),
    "asks them in a subquery for each row of an ordinary table": OUTER_REFERENCE,
}
ROW_LOCK = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def faults(statement: str) -> list[str]:
    """Return what is wrong with a statement of the request path; nothing for ordinary tables."""
    statement = COMMENT.sub(" ", statement)
    if not EVENT_TABLE.search(statement):
        return []
    found = [what for what, pattern in REFUSED.items() if pattern.search(statement)]
    written = [match["columns"] for match in WRITTEN_COLUMNS.finditer(statement)]
    if not all("customer_id" in columns for columns in written):
        found.append("writes rows without customer_id")
    named, conditions = (
        len(pattern.findall(statement)) for pattern in (NAMED_TABLE, CUSTOMER_CONDITION)
    )
    if conditions < named:
        locks = " and locks rows" if ROW_LOCK.search(statement) else ""
        found.append(f"does not name customer_id in a condition{locks}")
    return found


class RequestRecorder:
    """Collects the faulty statements of the requests that run while it listens."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.statements = 0
        self._request = threading.local()

    def begin(self, **kwargs: Any) -> None:
        self._request.is_running = True

    def end(self, **kwargs: Any) -> None:
        self._request.is_running = False

    def record(self, query: Any, connection: psycopg.Connection) -> None:
        if not getattr(self._request, "is_running", False):
            return
        statement = query_text(query, connection)
        self.statements += 1
        for fault in faults(statement):
            self.violations.append(f"{fault}: {' '.join(statement.split())}")


def query_text(query: Any, connection: psycopg.Connection) -> str:
    if isinstance(query, bytes):
        return query.decode()
    return query.as_string(connection) if isinstance(query, Composable) else str(query)


def listening(recorder: RequestRecorder, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of psycopg's cursors that tells the recorder what it runs."""

    def run(cursor: psycopg.Cursor, query: Any, *args: Any, **kwargs: Any) -> Any:
        recorder.record(query, cursor.connection)
        return original(cursor, query, *args, **kwargs)

    return run


@pytest.fixture(autouse=True)
def request_recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[RequestRecorder]:
    """Fail the test if a request of it ran a faulty statement."""
    recorder = RequestRecorder()
    for cursor_class in (psycopg.Cursor, psycopg.ServerCursor):
        for method in ("execute", "executemany", "copy"):
            original = getattr(cursor_class, method)
            monkeypatch.setattr(cursor_class, method, listening(recorder, original))
    request_started.connect(recorder.begin)
    request_finished.connect(recorder.end)
    yield recorder
    request_started.disconnect(recorder.begin)
    request_finished.disconnect(recorder.end)
    if recorder.violations:
        listed = "\n".join(recorder.violations)
        pytest.fail(f"Statements of requests on the tables that grow with events:\n{listed}")
