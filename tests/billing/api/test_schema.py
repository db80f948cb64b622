"""The OpenAPI document."""

from pathlib import Path

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient


def test_the_document_is_valid_and_nothing_in_it_was_guessed(tmp_path: Path) -> None:
    """Anything that a generator of clients could not make sense of is a warning, and fails."""
    path = tmp_path / "schema.yml"
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(path))
    assert "/api/v1/invoices/{number}/finalize:" in path.read_text()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/schema/", "/api/v1/docs/"])
def test_the_document_is_served_to_everybody(path: str) -> None:
    assert APIClient().get(path).status_code == 200
