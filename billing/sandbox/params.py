"""Reading form-encoded parameters: nested brackets, types, limits, and nothing unknown."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from billing.sandbox.refusals import unsaved

type Tree = dict[str, Any]
type Reader = Callable[[Any, str], Any]

KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
MAX_AMOUNT = 99_999_999_999_999

# R20: 50 keys, 40 characters a key, 500 a value.
METADATA_KEYS = 50
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500


def decode_form(body: str) -> Tree:
    """Return a form body or query string as nested dicts; list items are keyed by their index."""
    try:
        pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError as error:
        raise unsaved("The request is not form-encoded UTF-8.") from error
    tree: Tree = {}
    for name, text in pairs:
        match = KEY.fullmatch(name)
        if not match:
            raise unsaved(f"Invalid parameter name: {name}", param=name)
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        put(tree, path, text, name)
    return tree


def put(tree: Tree, path: list[str], text: str, name: str) -> None:
    *parents, last = path
    node = tree
    for part in parents:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise unsaved("A parameter is both a value and a hash.", param=name)
    node[last or str(len(node))] = text


def text(limit: int = 5000, *, may_be_empty: bool = True) -> Reader:
    def read(node: Any, name: str) -> str:
        if not isinstance(node, str):
            raise unsaved(f"Invalid string: {name}", param=name)
        if not node and not may_be_empty:
            raise unsaved(
                f"You passed an empty string for '{name}'.",
                code="parameter_invalid_empty",
                param=name,
            )
        if len(node) > limit:
            raise unsaved(
                f"Invalid string: {name} has at most {limit} characters",
                code="parameter_invalid_string",
                param=name,
            )
        return node

    return read


def integer(node: Any, name: str) -> int:
    if not isinstance(node, str) or not re.fullmatch(r"-?\d{1,20}", node):
        raise unsaved(f"Invalid integer: {node}", code="parameter_invalid_integer", param=name)
    number = int(node)
    if abs(number) > MAX_AMOUNT:
        raise unsaved(f"Invalid integer: {node}", code="amount_too_large", param=name)
    return number


def boolean(node: Any, name: str) -> bool:
    if node not in {"true", "false"}:
        raise unsaved(f"Invalid boolean: {node}", param=name)
    return bool(node == "true")


def decimal(node: Any, name: str) -> str:
    if not isinstance(node, str) or not re.fullmatch(r"-?\d+(\.\d{1,12})?", node):
        raise unsaved(f"Invalid decimal: {node}", param=name)
    return node


def choice(*words: str) -> Reader:
    def read(node: Any, name: str) -> str:
        if node not in words:
            raise unsaved(f"Invalid {name}: must be one of {', '.join(words)}", param=name)
        return str(node)

    return read


def currency(node: Any, name: str) -> str:
    if not isinstance(node, str) or not re.fullmatch(r"[a-z]{3}", node):
        raise unsaved(f"Invalid currency: {node}", code="parameter_invalid_string", param=name)
    return node


def metadata(node: Any, name: str) -> dict[str, str]:
    if node == "":
        return {}
    if not isinstance(node, dict) or len(node) > METADATA_KEYS:
        raise unsaved(f"Metadata is a hash of at most {METADATA_KEYS} keys", param=name)
    for key, item in node.items():
        if len(key) > METADATA_KEY_LENGTH or not isinstance(item, str):
            raise unsaved(f"Invalid metadata: {key}", param=name)
        if len(item) > METADATA_VALUE_LENGTH:
            raise unsaved(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters", param=name
            )
    return dict(node)


def hash_of(readers: dict[str, Reader], *, required: tuple[str, ...] = ()) -> Reader:
    def read(node: Any, name: str) -> Tree:
        if not isinstance(node, dict):
            raise unsaved("Invalid object", code="parameter_invalid_object", param=name)
        return read_params(node, readers, required=required, prefix=name)

    return read


def list_of(reader: Reader, *, limit: int = 100) -> Reader:
    def read(node: Any, name: str) -> list[Any]:
        if node == "":
            return []
        if not isinstance(node, dict) or list(node) != [str(index) for index in range(len(node))]:
            raise unsaved("Invalid array", param=name)
        if len(node) > limit:
            raise unsaved(f"Array {name} exceeded maximum {limit} allowed elements.", param=name)
        return [reader(item, f"{name}[{index}]") for index, item in node.items()]

    return read


def bounds(node: Any, name: str) -> dict[str, int]:
    """Read a range of instants: one integer, or a hash of gt, gte, lt and lte."""
    if isinstance(node, str):
        instant = integer(node, name)
        return {"gte": instant, "lte": instant}
    readers: dict[str, Reader] = dict.fromkeys(("gt", "gte", "lt", "lte"), integer)
    found: dict[str, int] = hash_of(readers)(node, name)
    return found


def read_params(
    tree: Tree, readers: dict[str, Reader], *, required: tuple[str, ...] = (), prefix: str = ""
) -> Tree:
    """Return the typed parameters; refuse unknown, missing and mistyped ones as Stripe does."""
    found: Tree = {}
    for key, node in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        if key not in readers:
            raise unsaved(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
        found[key] = readers[key](node, name)
    for key in required:
        if key not in found:
            name = f"{prefix}[{key}]" if prefix else key
            raise unsaved(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return found


def or_empty(reader: Reader) -> Reader:
    """Read what may also be an empty string, which clears the field."""

    def read(node: Any, name: str) -> Any:
        return node if node == "" else reader(node, name)

    return read


ADDRESS = or_empty(
    hash_of({key: text() for key in ("line1", "line2", "city", "state", "postal_code", "country")})
)
EXPAND = list_of(text())
PAGE: dict[str, Reader] = {
    "limit": integer,
    "starting_after": text(),
    "ending_before": text(),
    "expand": EXPAND,
}
