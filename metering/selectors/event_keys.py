"""Reads of the permanent identities of events."""

from collections.abc import Collection

from django.db import connection

CONTENT_DIGESTS = """
    SELECT key.customer_id, key.digest, key.content_digest
    FROM metering_eventkey key
    JOIN unnest(%s::bigint[], %s::uuid[]) AS wanted (customer_id, digest)
      ON key.customer_id = wanted.customer_id AND key.digest = wanted.digest
"""


def content_digests(keys: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], bytes]:
    """Return what the events with these keys say, by customer id and digest of the event's id."""
    if not keys:
        return {}
    customer_ids, digests = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(CONTENT_DIGESTS, [list(customer_ids), [digest.hex() for digest in digests]])
        rows = cursor.fetchall()
    return {(customer_id, digest.bytes): content.bytes for customer_id, digest, content in rows}
