"""Tax ids: which can be one, and how documents print them."""

import pytest

from customers.tax_ids import compact_tax_id


@pytest.mark.parametrize(
    ("written", "country", "printed"),
    [
        ("DE 136 695 976", "DE", "DE136695976"),
        ("136695976", "DE", "DE136695976"),
        ("094259216", "GR", "EL094259216"),
        ("EL094259216", "", "EL094259216"),
        ("ATU13585627", "DE", "ATU13585627"),
        ("gb 980 780 684", "GB", "980780684"),
        ("12-3456789", "US", "12-3456789"),
    ],
)
def test_a_tax_id_is_printed_in_one_way(written: str, country: str, printed: str) -> None:
    assert compact_tax_id(written, country) == printed
    assert compact_tax_id(printed, country) == printed


@pytest.mark.parametrize(
    ("written", "country"),
    [("DE136695977", "DE"), ("NO123", "NO"), ("none", ""), ("🎉", "FR"), ("x" * 41, "")],
)
def test_what_cannot_be_a_tax_id_is_refused(written: str, country: str) -> None:
    with pytest.raises(ValueError, match="tax id"):
        compact_tax_id(written, country)
