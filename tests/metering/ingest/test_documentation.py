"""docs/events.md names every code that an event can be refused with."""

from django.conf import settings

from metering.services import event_rules as rules
from metering.services.event_rules import Reason
from tests.factories import NOW


def test_every_code_is_documented() -> None:
    reasons = [value for value in vars(rules).values() if isinstance(value, Reason)]
    reasons += rules.INVALID_FIELDS.values()
    reasons += [rules.unknown_field("x"), rules.unknown_customer("x")]
    reasons.append(rules.timestamp_out_of_range(NOW, NOW, NOW))
    text = (settings.BASE_DIR / "docs" / "events.md").read_text()
    assert [each.code for each in reasons if f"`{each.code}`" not in text] == []
