"""Triggers that keep issued documents as they are, whoever is at the database."""
# ruff: noqa: S608  # Names of tables and columns are our own.

from collections.abc import Collection

import pgtrigger

# What may set aside the refusal to empty a table: only whoever throws a whole database away.
EMPTYING = "tallyport.emptying"


def frozen_document(columns: Collection[str]) -> list[pgtrigger.Trigger]:
    """Let nothing in these columns change once a document has left draft, nor the row go away."""
    old = ", ".join(f"OLD.{column}" for column in columns)
    new = ", ".join(f"NEW.{column}" for column in columns)
    return [
        pgtrigger.Protect(
            name="issued_content_is_frozen",
            operation=pgtrigger.Update,
            # Nor does it become a draft again, whose content may change.
            condition=pgtrigger.Condition(
                "OLD.status <> 'draft' AND (NEW.status = 'draft' OR "
                f"({old}) IS DISTINCT FROM ({new}))"
            ),
        ),
        pgtrigger.Protect(
            name="issued_is_never_deleted",
            operation=pgtrigger.Delete,
            condition=pgtrigger.Condition("OLD.status <> 'draft'"),
        ),
        never_emptied(),
    ]


def frozen_lines(table: str, column: str) -> list[pgtrigger.Trigger]:
    """Let the lines of a document in `table`, named by `column`, be as frozen as it is.

    They are looked at by the statement, because a night writes many. Lines may come before their
    document, which may then be inserted as an issued one; after it they may not.
    """
    return [
        refused_when_issued(
            "issued_gets_no_lines", pgtrigger.Insert, table, column, new="new_lines"
        ),
        refused_when_issued(
            "issued_lines_are_frozen",
            pgtrigger.Update,
            table,
            column,
            old="old_lines",
            new="new_lines",
        ),
        refused_when_issued(
            "issued_lines_never_go", pgtrigger.Delete, table, column, old="old_lines"
        ),
        never_emptied(),
    ]


def refused_when_issued(
    name: str, operation: pgtrigger.Operation, table: str, column: str, **rows: str
) -> pgtrigger.Trigger:
    """Refuse an operation on lines when the document of one of these `rows` is issued."""
    touched = " UNION ALL ".join(f"SELECT {column} AS id FROM {name}" for name in rows.values())
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=operation,
        referencing=pgtrigger.Referencing(**rows),  # type: ignore[no-untyped-call]
        func=pgtrigger.Func(  # type: ignore[no-untyped-call]
            f"""
            IF EXISTS (
                SELECT FROM ({touched}) AS touched JOIN {table} USING (id)
                WHERE status <> 'draft'
            ) THEN
                RAISE EXCEPTION 'pgtrigger: lines of an issued document never change';
            END IF;
            RETURN NULL;
            """
        ),
    )


def never_emptied() -> pgtrigger.Trigger:
    """Refuse TRUNCATE, which asks no trigger about rows."""
    return pgtrigger.Trigger(
        name="documents_are_never_emptied",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func=pgtrigger.Func(  # type: ignore[no-untyped-call]
            f"""
            IF current_setting('{EMPTYING}', true) IS DISTINCT FROM 'on' THEN
                RAISE EXCEPTION 'pgtrigger: a table of documents is never emptied';
            END IF;
            RETURN NULL;
            """
        ),
    )
