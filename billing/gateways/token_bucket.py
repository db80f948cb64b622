"""A brake on the calls of one process."""

import threading
import time

NANOSECONDS = 1_000_000_000
# Asked for less, it halves its speed down to an eighth; undisturbed, it doubles it each minute.
SLOWEST = 8
RECOVERY = 60 * NANOSECONDS


class TokenBucket:
    """At most `per_second` calls a second on average, in bursts of one second's worth."""

    def __init__(self, per_second: int) -> None:
        self.full_speed = self.interval = NANOSECONDS // per_second
        self.slowed_at = 0
        self.full_at = 0
        self.blocked_until = 0
        self.lock = threading.Lock()

    def take(self) -> None:
        """Wait for the next free place."""
        while wait := self.try_take():
            time.sleep(wait / NANOSECONDS)

    def try_take(self) -> int:
        """Take a place and return 0, or return how many nanoseconds to wait before asking again."""
        with self.lock:
            now = time.monotonic_ns()
            if now < self.blocked_until:
                return self.blocked_until - now
            self.recover(now)
            # `full_at` is when the bucket will be full again; a second's worth may be owed.
            due = max(self.full_at, now) + self.interval
            if due > now + NANOSECONDS:
                return due - now - NANOSECONDS
            self.full_at = due
            return 0

    def block(self, milliseconds: int) -> None:
        """Let nothing through for a while: the other side asked for less."""
        with self.lock:
            until = time.monotonic_ns() + milliseconds * 1_000_000
            self.blocked_until = max(self.blocked_until, until)

    def slow_down(self) -> None:
        """Go at half the speed from now on: the other side asked for less."""
        with self.lock:
            self.interval = min(self.interval * 2, self.full_speed * SLOWEST)
            self.slowed_at = time.monotonic_ns()

    def recover(self, now: int) -> None:
        if self.interval > self.full_speed and now - self.slowed_at >= RECOVERY:
            self.interval = max(self.interval // 2, self.full_speed)
            self.slowed_at = now
