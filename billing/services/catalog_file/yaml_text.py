"""YAML as catalogues are written in it: numbers keep their digits, words stay words.

The rules for plain scalars are those of YAML 1.2's core schema: `no` and `on` are texts, `010` is
ten, dates are texts. A decimal literal becomes a `Decimal` of exactly its digits.
"""

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import yaml

from config.errors import InvalidInputError

INTEGER = re.compile(r"[-+]?[0-9]+")
DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
NOTHING = re.compile(r"null|Null|NULL|~|")
FLAG = re.compile(r"true|True|TRUE|false|False|FALSE")
TAG = "tag:yaml.org,2002:"


class CatalogLoader(yaml.SafeLoader):
    """Builds texts, flags, integers, decimals, lists and mappings, and nothing else."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def integer(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))

    def decimal(self, node: yaml.ScalarNode) -> Decimal:
        return Decimal(self.construct_scalar(node))

    def mapping(self, node: yaml.MappingNode) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for name, _ in node.value:
            if name.value in seen and name.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name.value!r} is written twice", name.start_mark
                )
            seen.add(name.value)
        self.flatten_mapping(node)
        return self.construct_mapping(node, deep=True)


for name, rule, first in (
    ("bool", FLAG, list("tTfF")),
    ("int", INTEGER, list("-+0123456789")),
    ("float", DECIMAL, list("-+.0123456789")),
    ("null", NOTHING, ["~", "n", "N", ""]),
    ("merge", re.compile("<<"), ["<"]),
):
    CatalogLoader.add_implicit_resolver(f"{TAG}{name}", re.compile(rf"^(?:{rule.pattern})$"), first)
CatalogLoader.add_constructor(f"{TAG}int", CatalogLoader.integer)
CatalogLoader.add_constructor(f"{TAG}float", CatalogLoader.decimal)
CatalogLoader.add_constructor(f"{TAG}map", CatalogLoader.mapping)


def read_yaml(text: str) -> Any:
    """Return the document of a YAML text; raises InvalidInputError that names line and column."""
    try:
        return yaml.load(text, CatalogLoader)  # noqa: S506  # a safe loader with fewer types
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"This is no YAML that can be read: {reason(error)}.") from error


def reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem}, at line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split()) or "it is nested too deeply"


def write_yaml(document: object) -> str:
    """Write a document that `read_yaml` reads back as an equal one."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
