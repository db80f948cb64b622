"""The one exception that rating raises when a document is wrong."""

from typing import override


class PriceError(ValueError):
    """A document that cannot be priced, and what to write instead.

    `field` is the dotted path of the offending value, such as `prices.0.tiers.1.up_to`; it is
    empty when the document as a whole is wrong. `message` is a sentence for people.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    @override
    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message
