"""The faults that docs/stripe-rules.md promises to survive are all tested under their numbers."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
RULES = TESTS.parents[2] / "docs" / "stripe-rules.md"


def test_every_fault_of_the_table_has_a_test_that_carries_its_number() -> None:
    promised = set(re.findall(r"^\| (S\d+) \|", RULES.read_text(), re.MULTILINE))
    names = re.findall(
        r"def test((?:_s\d+)+)_", "".join(path.read_text() for path in TESTS.glob("test_*.py"))
    )
    tested = {number.upper() for name in names for number in re.findall(r"s\d+", name)}
    assert promised
    assert promised == tested
