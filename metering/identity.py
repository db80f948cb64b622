"""What makes two reports the same event: digests of its id, and of what it says.

Both are stored for ever. Another way of computing them would turn every retry of an old event
into a new event or a conflict, so they never change.
"""

from hashlib import blake2b

DIGEST_BYTES = 16


def id_digest(event_id: str) -> bytes:
    """Return the 128 bits by which a customer's event is known."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def content_digest(event_type: str, microseconds: int | None, properties: bytes) -> bytes:
    """Return 128 bits of what an event says.

    `microseconds` tell its instant, or None when the sender left it out: a repeated report
    without one is the same event although it arrives later. `properties` are canonical JSON with
    equal numbers written alike. No part but the last may hold a zero character.
    """
    stated = "" if microseconds is None else microseconds
    return blake2b(
        f"{event_type}\0{stated}\0".encode() + properties, digest_size=DIGEST_BYTES
    ).digest()
