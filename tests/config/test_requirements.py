"""The pinned requirements are those of pyproject.toml, and each has its reason written down."""

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.config.conftest import ROOT

PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
REASON = re.compile(r"^\| `([\w.-]+)` \|", re.MULTILINE)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def declared(names: list[str]) -> list[Requirement]:
    return [Requirement(name) for name in names]


def pinned(file: str) -> dict[str, str]:
    found = PIN.findall((ROOT / "requirements" / file).read_text())
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("file", ["base.txt", "dev.txt"])
def test_every_dependency_is_pinned_within_its_bounds(file: str) -> None:
    wanted = declared(project()["project"]["dependencies"])
    if file == "dev.txt":
        wanted += declared(project()["dependency-groups"]["dev"])
    pins = pinned(file)
    for requirement in wanted:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"run `make lock`: {requirement}"


def test_development_runs_the_versions_of_production() -> None:
    assert pinned("base.txt").items() <= pinned("dev.txt").items()


def test_every_dependency_has_a_line_of_reason() -> None:
    groups = project()["dependency-groups"]["dev"]
    wanted = declared(project()["project"]["dependencies"] + groups)
    written = set(REASON.findall((ROOT / "docs" / "dependencies.md").read_text()))
    assert {canonicalize_name(requirement.name) for requirement in wanted} == written
