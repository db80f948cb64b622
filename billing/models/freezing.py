"""Triggers that keep issued documents as they are, whoever is at the database."""

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
    """Let the lines of a document in `table`, named by `column`, be as frozen as it is."""
    return [
        pgtrigger.Trigger(
            name="issued_lines_are_frozen",
            when=pgtrigger.Before,
            operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
            func=pgtrigger.Func(  # type: ignore[no-untyped-call]
                f"""
                IF EXISTS (
                    SELECT FROM {table}
                    WHERE status <> 'draft'
                    AND id IN (COALESCE(NEW.{column}, OLD.{column}), OLD.{column})
                ) THEN
                    RAISE EXCEPTION 'pgtrigger: lines of an issued document never change';
                END IF;
                RETURN COALESCE(NEW, OLD);
                """
            ),
        ),
        never_emptied(),
    ]


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
