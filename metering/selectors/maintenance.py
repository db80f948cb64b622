"""What PostgreSQL knows of the tables that grow with events, and keeping that knowledge fresh."""

from django.db import connection

from metering.tables import EVENT_TABLES

# With so many rows gone, reading a table costs noticeably more than it should.
MOST_DEAD_PERCENT = 20
FEWEST_DEAD = 10_000
# Statistics are of the database, not of anybody's rows.
BLOATED = """
    SELECT s.relname, s.n_dead_tup, s.n_live_tup
    FROM pg_stat_user_tables s
    WHERE s.relname ~ %s AND s.n_dead_tup >= %s
        AND s.n_dead_tup * 100 >= (s.n_live_tup + s.n_dead_tup) * %s
    ORDER BY s.n_dead_tup DESC
"""


def analyze_event_tables() -> None:
    """Refresh the statistics that the planner goes by; it reads a sample of each table."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(EVENT_TABLES)}")


def vacuum_hints() -> list[str]:
    """Return a sentence for each table that autovacuum does not keep up with."""
    pattern = f"^({'|'.join(EVENT_TABLES)})"
    with connection.cursor() as cursor:
        cursor.execute(BLOATED, [pattern, FEWEST_DEAD, MOST_DEAD_PERCENT])
        return [
            f"{table} holds {dead:,} dead rows beside {live:,} live ones: run VACUUM {table}, "
            "or let autovacuum work more often on it."
            for table, dead, live in cursor.fetchall()
        ]
