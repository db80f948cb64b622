"""How money and quantities are stored: `numeric` that keeps the scale it was given."""

from typing import Any

from django.db import models


class ExactDecimalField(models.DecimalField[Any, Any]):
    """An exact decimal of any size: 22.00 is read back as 22.00, not as 22.000000000000."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", None)
        kwargs.setdefault("decimal_places", None)
        super().__init__(*args, **kwargs)
