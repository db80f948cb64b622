"""The server's memory: tables of objects, a movable clock, and a journal that outlives it.

Every answered request appends what it changed to the journal as one line and flushes it, so a
killed server loses nothing it had answered; a half-written last line is dropped at the next
start. Opening a journal writes it anew, with each object once.
"""

import fcntl
import json
import secrets
import string
import time
from pathlib import Path
from typing import Any, TextIO

type Record = dict[str, Any]

ALPHABET = string.ascii_letters + string.digits
CLOCK = "clock"


class Store:
    """Objects by kind and id, in the order they were made. Not locked: its owner is."""

    def __init__(self, path: Path | None = None) -> None:
        self.tables: dict[str, dict[str, Record]] = {}
        self.changed: dict[tuple[str, str], Record | None] = {}
        self.path = path
        self.journal: TextIO | None = None
        self.lock: TextIO | None = None
        if path:
            self.lock = locked(path)
            self.load(path)
            self.journal = self.rewrite(path)

    # The clock is kept here because it outlives the process with everything else.
    def now(self) -> int:
        """Return the server's time in whole seconds: the machine's, moved by what tests ask."""
        return int(time.time()) + int(self.table(CLOCK).get(CLOCK, {}).get("offset", 0))

    def move_clock(self, *, to: int) -> None:
        self.put(CLOCK, CLOCK, {"offset": to - int(time.time())})

    def table(self, kind: str) -> dict[str, Record]:
        return self.tables.setdefault(kind, {})

    def get(self, kind: str, object_id: str) -> Record | None:
        return self.table(kind).get(object_id)

    def put(self, kind: str, object_id: str, record: Record) -> Record:
        """Store `record`, or note that it changed; the journal hears of it at `commit`."""
        self.table(kind)[object_id] = record
        self.changed[kind, object_id] = record
        return record

    def remove(self, kind: str, object_id: str) -> None:
        self.table(kind).pop(object_id, None)
        self.changed[kind, object_id] = None

    def commit(self) -> None:
        """Write what changed since the last commit to the journal, all of it or nothing."""
        if self.journal and self.changed:
            line = [[kind, key, record] for (kind, key), record in self.changed.items()]
            self.journal.write(json.dumps(line, separators=(",", ":")) + "\n")
            self.journal.flush()
        self.changed.clear()

    def clear(self) -> None:
        """Forget everything, the clock's offset included."""
        for kind, records in self.tables.items():
            self.changed |= dict.fromkeys([(kind, key) for key in records])
            records.clear()
        self.commit()

    def close(self) -> None:
        for file in (self.journal, self.lock):
            if file:
                file.close()
        self.journal = self.lock = None

    def load(self, path: Path) -> None:
        if not path.exists():
            return
        for line in path.read_text().splitlines():
            try:
                changes = json.loads(line)
            except ValueError:
                return
            for kind, key, record in changes:
                if record is None:
                    self.table(kind).pop(key, None)
                else:
                    self.table(kind)[key] = record

    def rewrite(self, path: Path) -> TextIO:
        """Replace the journal by one that holds each object once, and return it for appending."""
        draft = path.with_name(path.name + ".new")
        with draft.open("w") as file:
            for kind, records in self.tables.items():
                for key, record in records.items():
                    file.write(json.dumps([[kind, key, record]], separators=(",", ":")) + "\n")
        draft.replace(path)
        return path.open("a")


def locked(path: Path) -> TextIO:
    """Keep the journal for this process. Raises BlockingIOError while another one has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def new_id(prefix: str) -> str:
    return prefix + "_" + "".join(secrets.choice(ALPHABET) for _ in range(24))


def public(record: Record) -> Record:
    """Return what the API shows of a record: names with an underscore are the server's own."""
    return {key: value for key, value in record.items() if not key.startswith("_")}
