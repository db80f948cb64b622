"""One Stripe account in test mode: its objects, its keys, and what it has to tell about them."""

import threading
from typing import Any

from billing.sandbox.idempotency import KeyRing
from billing.sandbox.refusals import RefusalError, missing, unsaved
from billing.sandbox.store import Record, Store, new_id

API_VERSION = "2026-10-28.endive"
ACCOUNT_ID = "acct_tallyportsandbox"

DEFAULT_PAGE = 10
MAX_PAGE = 100


class Account:
    """The state that every operation works on; hold `lock` around each operation."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = KeyRing(store)
        self.lock = threading.RLock()
        self.public_url = ""
        self.outbox: list[str] = []

    def now(self) -> int:
        return self.store.now()

    def find(self, kind: str, noun: str, object_id: str, *, param: str | None = None) -> Record:
        """Return a living object, or refuse with resource_missing (R1)."""
        record = self.store.get(kind, object_id)
        if record is None or (param and record.get("deleted")):
            raise missing(noun, object_id, param=param)
        return record

    def emit(self, kind: str, shown: Record) -> None:
        """Record that something happened; webhooks go out once the operation is committed."""
        waiting = self.endpoints_for(kind)
        event: Record = {
            "id": new_id("evt"),
            "object": "event",
            "account": None,
            "api_version": API_VERSION,
            "context": None,
            "created": self.now(),
            "data": {"object": shown, "previous_attributes": None},
            "livemode": False,
            "pending_webhooks": len(waiting),
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
            "_undelivered": waiting,
        }
        self.store.put("event", event["id"], event)
        self.outbox.append(event["id"])

    def endpoints_for(self, kind: str) -> list[str]:
        return [
            endpoint["id"]
            for endpoint in self.store.table("endpoint").values()
            if {"*", kind} & set(endpoint["enabled_events"])
        ]

    def commit(self) -> list[str]:
        """Make the operation durable and return the ids of the events to deliver."""
        self.store.commit()
        told, self.outbox = self.outbox, []
        return told


def listed(records: list[Record], params: dict[str, Any], url: str) -> Record:
    """Return one page of `records`, which are given newest first (R13)."""
    limit = params.get("limit", DEFAULT_PAGE)
    if not 1 <= limit <= MAX_PAGE:
        raise unsaved(f"Invalid limit: {limit} is not from 1 to {MAX_PAGE}", param="limit")
    ids = [record["id"] for record in records]
    if after := params.get("starting_after"):
        records = records[position(ids, after, "starting_after") + 1 :]
    elif before := params.get("ending_before"):
        records = records[: position(ids, before, "ending_before")]
        page = records[-limit:]
        return {"object": "list", "url": url, "has_more": len(records) > limit, "data": page}
    return {
        "object": "list",
        "url": url,
        "has_more": len(records) > limit,
        "data": records[:limit],
    }


def position(ids: list[str], object_id: str, param: str) -> int:
    if object_id not in ids:
        raise missing("object", object_id, param=param)
    return ids.index(object_id)


def is_within(instant: int, bounds: dict[str, int]) -> bool:
    return (
        instant > bounds.get("gt", instant - 1)
        and instant >= bounds.get("gte", instant)
        and instant < bounds.get("lt", instant + 1)
        and instant <= bounds.get("lte", instant)
    )


def refuse_expansion(params: dict[str, Any], *known: str) -> list[str]:
    """Return the properties to expand; refuse those that cannot be (R14)."""
    names: list[str] = params.pop("expand", [])
    for name in names:
        if name not in known:
            raise RefusalError(
                f"This property cannot be expanded ({name}).", param="expand", is_saved=False
            )
    return names
