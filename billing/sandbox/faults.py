"""Ways to break: which request fails, and how.

A fault is planned for the n-th API request from now, or for the n-th that matches an operation
such as `POST /v1/invoices`. Every kind names what the caller sees and whether the request was
executed.
"""

import re
import threading
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    TRUNCATE = "truncate"
    SERVER_ERROR_BEFORE = "server_error_before"
    SERVER_ERROR_AFTER = "server_error_after"
    SAVED_SERVER_ERROR_BEFORE = "saved_server_error_before"
    SAVED_SERVER_ERROR_AFTER = "saved_server_error_after"
    BAD_GATEWAY = "bad_gateway"
    CONFLICT = "conflict"
    RATE_LIMIT = "rate_limit"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"
    KEY_REUSED = "key_reused"
    SLOW = "slow"

    @property
    def is_executed(self) -> bool:
        """Whether the request took effect although the caller is not told."""
        return self in EXECUTED

    @property
    def is_saved(self) -> bool:
        return self in {Kind.SAVED_SERVER_ERROR_BEFORE, Kind.SAVED_SERVER_ERROR_AFTER}


EXECUTED = frozenset(
    {
        Kind.DROP_AFTER,
        Kind.TRUNCATE,
        Kind.SERVER_ERROR_AFTER,
        Kind.SAVED_SERVER_ERROR_AFTER,
        Kind.BAD_GATEWAY,
        Kind.SLOW,
    }
)


@dataclass
class Fault:
    """One planned failure: skip `after` matching requests, then fail `times` of every `every`.

    A slow answer takes `seconds`, or until `over` is set.
    """

    kind: Kind
    operation: str = ""
    after: int = 0
    times: int = 1
    every: int = 1
    seconds: int = 0
    seen: int = 0
    over: threading.Event = field(default_factory=threading.Event, init=False)

    def matches(self, operation: str) -> bool:
        return not self.operation or re.fullmatch(self.operation, operation) is not None

    def is_due(self) -> bool:
        """Count one matching request and say whether it is to fail."""
        self.seen += 1
        turn = self.seen - self.after - 1
        if turn < 0 or self.times <= 0 or turn % self.every:
            return False
        self.times -= 1
        return True


class FaultPlan:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests = 0

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)

    def clear(self) -> None:
        self.faults.clear()
        self.requests = 0

    def next_for(self, operation: str) -> Fault | None:
        """Count a request of `operation` such as `POST /v1/invoices`; return its failure."""
        self.requests += 1
        due = [fault for fault in self.faults if fault.matches(operation) and fault.is_due()]
        return due[0] if due else None
