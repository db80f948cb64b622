"""Reading DATABASE_URL."""

from pathlib import Path

import pytest

from config import database


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://ann:p%40ss%2Fword@db.example.com:6432/billing?sslmode=require",
            {
                "NAME": "billing",
                "USER": "ann",
                "PASSWORD": "p@ss/word",
                "HOST": "db.example.com",
                "PORT": "6432",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgresql:///billing?host=/run/postgresql", {"HOST": "/run/postgresql", "PORT": ""}),
        ("postgres://ann@%2Frun%2Fpostgresql/billing", {"HOST": "/run/postgresql", "USER": "ann"}),
    ],
)
def test_an_address_is_read_into_its_parts(url: str, expected: dict[str, object]) -> None:
    read = database.settings_for(url, Path("unused"))
    assert read | expected == read


def test_without_an_address_the_embedded_server_is_used_and_nothing_is_started(
    tmp_path: Path,
) -> None:
    read = database.settings_for("", tmp_path)
    assert read["ENGINE"] == "config.embedded"
    assert read["HOST"] == str(tmp_path / "postgres")
    assert list(tmp_path.iterdir()) == []
