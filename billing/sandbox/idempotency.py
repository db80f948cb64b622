"""Idempotency keys, as Stripe keeps them (R12).

The first request that executes under a key has its answer saved, errors included, and every
later one gets that answer again. A key is forgotten once it is a day old: then the same request
is executed a second time.
"""

import hashlib
from typing import Any

from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Store

KEYS = "idempotency_keys"
KEPT_SECONDS = 24 * 3600
MAX_KEY_LENGTH = 255


class KeyRing:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.in_use: set[str] = set()

    def begin(self, key: str, method: str, path: str, body: str) -> dict[str, Any] | None:
        """Return the answer saved under `key`, or None after taking the key for this request.

        Raises RefusalError for a key in use by another request, and for one that other parameters
        were sent with.
        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            message = f"Idempotency keys have 1 to {MAX_KEY_LENGTH} characters."
            raise RefusalError(message, kind="idempotency_error", is_saved=False)
        self.prune()
        if key in self.in_use:
            raise RefusalError(
                "There is currently another in-progress request using this Idempotent Key.",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
                is_saved=False,
            )
        saved = self.store.get(KEYS, key)
        if saved and saved["fingerprint"] != fingerprint(method, path, body):
            raise RefusalError(
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request.",
                kind="idempotency_error",
                is_saved=False,
            )
        if not saved:
            self.in_use.add(key)
        return saved

    def save(
        self, key: str, method: str, path: str, body: str, *, status: int, answer: dict[str, Any]
    ) -> None:
        self.store.put(
            KEYS,
            key,
            {
                "fingerprint": fingerprint(method, path, body),
                "status": status,
                "answer": answer,
                "created": self.store.now(),
            },
        )

    def release(self, key: str) -> None:
        self.in_use.discard(key)

    def prune(self) -> None:
        oldest = self.store.now() - KEPT_SECONDS
        kept = self.store.table(KEYS)
        while kept:
            key = next(iter(kept))
            if kept[key]["created"] > oldest:
                break
            self.store.remove(KEYS, key)


def fingerprint(method: str, path: str, body: str) -> str:
    return hashlib.sha256(f"{method} {path}\n{body}".encode()).hexdigest()
