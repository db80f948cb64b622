"""One API request: who asks, under which key, what breaks, and the answer."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from billing.sandbox.account import API_VERSION, Account
from billing.sandbox.deliveries import Deliverer
from billing.sandbox.faults import Fault, FaultPlan, Kind
from billing.sandbox.lifecycle import finalize_due
from billing.sandbox.params import decode_form
from billing.sandbox.refusals import RefusalError
from billing.sandbox.routes import Handler, match
from billing.sandbox.store import new_id


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    body: str
    authorization: str = ""
    version: str = ""
    key: str = ""


class Fate(Enum):
    """What becomes of an answer on its way back."""

    SENT = "sent"
    DROPPED = "dropped"
    TRUNCATED = "truncated"


@dataclass
class Answer:
    status: int
    document: dict[str, Any] | str
    is_replayed: bool = False
    fate: Fate = Fate.SENT

    def body(self) -> bytes:
        if isinstance(self.document, str):
            return self.document.encode()
        return json.dumps(self.document, indent=2).encode()


SERVER_ERROR = RefusalError(
    "An error occurred with our connection to the database.", status=500, kind="api_error"
)
KEY_REUSED = RefusalError(
    "Keys for idempotent requests can only be used with the same parameters they were first "
    "used with.",
    kind="idempotency_error",
)
# What a request is refused with before it executes.
REFUSED: dict[Kind, RefusalError] = {
    Kind.CONFLICT: RefusalError(
        "This object cannot be accessed right now because another request is processing it.",
        status=409,
        code="lock_timeout",
    ),
    Kind.RATE_LIMIT: RefusalError("Request rate limit exceeded.", status=429, code="rate_limit"),
    Kind.UNAUTHORIZED: RefusalError("Invalid API Key provided: sk_test_****", status=401),
    Kind.FORBIDDEN: RefusalError(
        "The provided key does not have the required permissions for this endpoint.", status=403
    ),
    Kind.INVALID: RefusalError("The request is invalid.", code="parameter_invalid_string"),
    Kind.KEY_REUSED: KEY_REUSED,
    Kind.SERVER_ERROR_BEFORE: SERVER_ERROR,
    Kind.SAVED_SERVER_ERROR_BEFORE: SERVER_ERROR,
}
BAD_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"


class Api:
    def __init__(self, account: Account, deliverer: Deliverer, *, log: Path | None = None) -> None:
        self.account = account
        self.deliverer = deliverer
        self.faults = FaultPlan()
        self.log: TextIO | None = log.open("a") if log else None

    def close(self) -> None:
        if self.log:
            self.log.close()

    def answer(self, request: Request) -> Answer:
        """Execute one request of the API, or fail it as planned."""
        self.record(request)
        try:
            operation, handler, ids = match(request.method, request.path)
            fault = self.faults.next_for(operation)
            if fault and not fault.kind.is_executed:
                return self.refused(request, fault)
            return self.executed(request, handler, ids, fault)
        except RefusalError as refusal:
            return Answer(refusal.status, refusal.body())

    def refused(self, request: Request, fault: Fault) -> Answer:
        if fault.kind is Kind.DROP_BEFORE:
            return Answer(0, "", fate=Fate.DROPPED)
        refusal = REFUSED[fault.kind]
        if fault.kind.is_saved and request.key:
            with self.account.lock:
                replay = self.take_key(request)
                if replay:
                    return replay
                self.save(request, refusal.status, refusal.body())
                self.account.keys.release(request.key)
                self.account.commit()
        return Answer(refusal.status, refusal.body())

    def executed(
        self, request: Request, handler: Handler, ids: tuple[str, ...], fault: Fault | None
    ) -> Answer:
        with self.account.lock:
            authorize(request)
            replay = self.take_key(request)
        try:
            if fault and fault.kind is Kind.SLOW:
                fault.over.wait(fault.seconds)
            answer = replay or self.execute(request, handler, ids, fault)
        finally:
            with self.account.lock:
                self.account.keys.release(request.key)
        return broken(answer, fault)

    def execute(
        self, request: Request, handler: Handler, ids: tuple[str, ...], fault: Fault | None
    ) -> Answer:
        with self.account.lock:
            is_saved = request.method == "POST"
            try:
                finalize_due(self.account)
                encoded = request.body if request.method == "POST" else request.query
                answer = Answer(200, handler(self.account, decode_form(encoded), *ids))
            except RefusalError as refusal:
                answer = Answer(refusal.status, refusal.body())
                is_saved = is_saved and refusal.is_saved
            if fault and fault.kind.is_saved:
                answer = Answer(SERVER_ERROR.status, SERVER_ERROR.body())
            if is_saved and request.key:
                self.save(request, answer.status, answer.document)
            told = self.account.commit()
        self.deliverer.enqueue(told)
        return answer

    def take_key(self, request: Request) -> Answer | None:
        if request.method != "POST" or not request.key:
            return None
        saved = self.account.keys.begin(request.key, request.method, request.path, request.body)
        return Answer(saved["status"], saved["answer"], is_replayed=True) if saved else None

    def save(self, request: Request, status: int, document: dict[str, Any] | str) -> None:
        self.account.keys.save(
            request.key,
            request.method,
            request.path,
            request.body,
            status=status,
            answer=json.loads(json.dumps(document)),
        )

    def record(self, request: Request) -> None:
        """Append the request to the log, so that what a program sends can be read or replayed."""
        if self.log:
            line = {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "body": request.body,
                "version": request.version,
                "key": request.key,
            }
            with self.account.lock:
                self.log.write(json.dumps(line) + "\n")
                self.log.flush()


def broken(answer: Answer, fault: Fault | None) -> Answer:
    """Return what the caller gets to see of an executed request."""
    match fault.kind if fault else None:
        case Kind.DROP_AFTER:
            answer.fate = Fate.DROPPED
        case Kind.TRUNCATE:
            answer.fate = Fate.TRUNCATED
        case Kind.SERVER_ERROR_AFTER:
            return Answer(SERVER_ERROR.status, SERVER_ERROR.body())
        case Kind.BAD_GATEWAY:
            return Answer(502, BAD_GATEWAY_PAGE)
    return answer


def authorize(request: Request) -> None:
    scheme, _, key = request.authorization.partition(" ")
    if scheme != "Bearer" or not key.startswith(("sk_test_", "rk_test_")):
        raise RefusalError(
            "Invalid API Key provided. This server takes any key that starts with sk_test_.",
            status=401,
            is_saved=False,
        )
    if request.version and request.version != API_VERSION:
        raise RefusalError(
            f"This server speaks Stripe-Version {API_VERSION} alone, not {request.version}.",
            is_saved=False,
        )


def new_request_id() -> str:
    return new_id("req")
