"""The webhook sender: signed, repeated until answered with 2xx, and able to misbehave (R18)."""

import hashlib
import heapq
import hmac
import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from billing.sandbox.account import Account
from billing.sandbox.events import live_secrets
from billing.sandbox.store import Record, public

TIMEOUT_SECONDS = 10
MAX_DELAY_SECONDS = 3600
GIVE_UP_ATTEMPTS = 80


@dataclass(order=True)
class Delivery:
    due: int
    sequence: int
    event_id: str = field(compare=False)
    endpoint_id: str = field(compare=False)
    attempt: int = field(compare=False, default=0)


class Deliverer:
    """Posts events to endpoints from a thread of its own.

    `hold` keeps events back until `release`, which may turn their order around; `copies` sends
    each event several times. Due times are milliseconds of the monotonic clock.
    """

    def __init__(self, account: Account, *, first_delay_ms: int = 1000) -> None:
        self.account = account
        self.first_delay_ms = first_delay_ms
        self.copies = 1
        self.is_held = False
        self.held: list[Delivery] = []
        self.queue: list[Delivery] = []
        self.sequence = 0
        self.in_flight = 0
        self.is_closed = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin delivering, with what an earlier process left undelivered first."""
        with self.account.lock:
            left = [
                (event["id"], endpoint_id)
                for event in self.account.store.table("event").values()
                for endpoint_id in event["_undelivered"]
            ]
        self.push(left)
        self.thread.start()

    def enqueue(self, event_ids: list[str]) -> None:
        with self.account.lock:
            events = [self.account.find("event", "event", event_id) for event_id in event_ids]
        self.push(
            [
                (event["id"], endpoint_id)
                for event in events
                for endpoint_id in event["_undelivered"]
                for _ in range(self.copies)
            ]
        )

    def push(self, wanted: list[tuple[str, str]]) -> None:
        with self.changed:
            for event_id, endpoint_id in wanted:
                self.sequence += 1
                delivery = Delivery(now_ms(), self.sequence, event_id, endpoint_id)
                if self.is_held:
                    self.held.append(delivery)
                else:
                    heapq.heappush(self.queue, delivery)
            self.changed.notify_all()

    def release(self, *, is_reversed: bool = False) -> None:
        """Send what was held back, in the order it happened or the other way round."""
        with self.changed:
            self.is_held = False
            waiting = reversed(self.held) if is_reversed else iter(self.held)
            for delivery in waiting:
                self.sequence += 1
                delivery.sequence, delivery.due = self.sequence, now_ms()
                heapq.heappush(self.queue, delivery)
            self.held.clear()
            self.changed.notify_all()

    def forget(self) -> None:
        """Drop what is queued and behave again."""
        with self.changed:
            self.queue.clear()
            self.held.clear()
            self.is_held, self.copies = False, 1

    def wait_until_idle(self, *, seconds: int = 10) -> bool:
        """Return whether everything due was answered within `seconds`."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.queue and not self.in_flight, seconds)

    def close(self) -> None:
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
        if self.thread.is_alive():
            self.thread.join(TIMEOUT_SECONDS)

    def run(self) -> None:
        while delivery := self.next_due():
            is_done = self.deliver(delivery)
            with self.changed:
                self.in_flight -= 1
                if not is_done and delivery.attempt < GIVE_UP_ATTEMPTS:
                    delivery.due = now_ms() + self.delay_ms(delivery.attempt)
                    delivery.attempt += 1
                    heapq.heappush(self.queue, delivery)
                self.changed.notify_all()

    def next_due(self) -> Delivery | None:
        with self.changed:
            while not self.is_closed:
                wait = self.queue[0].due - now_ms() if self.queue else None
                if wait is not None and wait <= 0:
                    self.in_flight += 1
                    return heapq.heappop(self.queue)
                self.changed.wait(None if wait is None else wait / 1000)
            return None

    def delay_ms(self, attempt: int) -> int:
        doubled: int = self.first_delay_ms * 2 ** min(attempt, 20)
        return min(doubled, MAX_DELAY_SECONDS * 1000)

    def deliver(self, delivery: Delivery) -> bool:
        """Post one event to one endpoint; return whether nothing is left to do."""
        with self.account.lock:
            event = self.account.store.get("event", delivery.event_id)
            endpoint = self.account.store.get("endpoint", delivery.endpoint_id)
            if event is None or endpoint is None:
                return True
            body = json.dumps(public(event), indent=2).encode()
            secrets = live_secrets(self.account, endpoint)
        if not post(endpoint["url"], body, signature(body, secrets, int(time.time()))):
            return False
        with self.account.lock:
            self.note_delivered(event, delivery.endpoint_id)
        return True

    def note_delivered(self, event: Record, endpoint_id: str) -> None:
        left = [item for item in event["_undelivered"] if item != endpoint_id]
        event["_undelivered"], event["pending_webhooks"] = left, len(left)
        self.account.store.put("event", event["id"], event)
        self.account.store.commit()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def signature(body: bytes, secrets: list[str], timestamp: int) -> str:
    """Return a Stripe-Signature header: one v1 for every secret that is alive."""
    signed = f"{timestamp}.".encode() + body
    macs = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={mac}" for mac in macs)])


def post(url: str, body: bytes, header: str) -> bool:
    """Post a webhook and return whether it was answered with 2xx."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": header,
        "User-Agent": "Stripe/1.0 (Tallyport sandbox)",
    }
    try:
        connection.request("POST", parts.path or "/", body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return 200 <= response.status < 300
    finally:
        connection.close()
