"""Terms that documents may name while nothing bills them: only their neutral value is taken."""

import json
from collections.abc import Mapping

from config.errors import InvalidInputError


def check_neutral(given: Mapping[str, object], neutral: Mapping[str, object]) -> None:
    """Raise InvalidInputError for the first term that asks for something.

    Taking a term and not billing it would promise customers what their invoices do not hold.
    """
    for name, value in neutral.items():
        if given.get(name, value) != value:
            raise InvalidInputError(
                f"{name} is not billed: leave it out, or send {json.dumps(value)}.", field=name
            )
