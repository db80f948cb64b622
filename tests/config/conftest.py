"""Fixtures for the tests of the installation itself."""

import re
from pathlib import Path

import pytest

from tests.processes import unmeasured

ROOT = Path(__file__).resolve().parent.parent.parent
VARIABLE = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def documented_variables() -> set[str]:
    return set(VARIABLE.findall((ROOT / "docs" / "settings.md").read_text()))


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Unset every variable that the settings read, and give them a data directory of their own."""
    for name in documented_variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLYPORT_DATA_DIR", str(tmp_path))
    return monkeypatch


@pytest.fixture
def clean_variables(clean_environment: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the same as a mapping for a process of its own."""
    return unmeasured()
