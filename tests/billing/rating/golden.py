"""The golden cases: prices that others worked out, with their sources."""

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[2] / "golden" / "prices.jsonl"

GOLDEN_CASES: list[dict[str, Any]] = [json.loads(line) for line in _FILE.read_text().splitlines()]
