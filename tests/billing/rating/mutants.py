"""A plugin for pytest under mutation testing: no Django, and the same few examples every time."""

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "mutants",
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A mutant is dead at the first failing example: nobody reads the smallest.
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
settings.load_profile("mutants")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the setting of a plugin that is left out, or pytest refuses it."""
    parser.addini("DJANGO_SETTINGS_MODULE", "not used here")
