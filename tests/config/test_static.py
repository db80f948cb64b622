"""Static files are collected when they changed, and only then."""

from pathlib import Path

import pytest
from pytest_django import Settings

from config import static


@pytest.fixture
def source(settings: Settings, tmp_path: Path) -> Path:
    """Return a style sheet that is the only static file, to be collected into a new folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "static"
    sheet = folder / "site.css"
    sheet.write_text("body { margin: 0 }")
    return sheet


def test_nothing_is_collected_a_second_time(source: Path, settings: Settings) -> None:
    assert static.collect_if_changed() is True
    assert (Path(settings.STATIC_ROOT) / "site.css").exists()
    assert static.collect_if_changed() is False


def test_a_changed_file_is_collected_again(source: Path, settings: Settings) -> None:
    static.collect_if_changed()
    source.write_text("body { margin: 1px }")

    assert static.collect_if_changed() is True
    assert (Path(settings.STATIC_ROOT) / "site.css").read_text() == "body { margin: 1px }"
