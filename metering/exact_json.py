"""JSON with exact numbers: what an event said is read and written to the last digit."""

import json
from decimal import Decimal
from typing import Any, override

import msgspec

# Texts that are looked up late, such as translations, are written as they then read.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


class ExactEncoder(json.JSONEncoder):
    """Writes Decimals as numbers; `json.dumps(value, cls=ExactEncoder)`."""

    @override
    def encode(self, o: Any) -> str:
        return _encoder.encode(o).decode()


class ExactDecoder(json.JSONDecoder):
    """Reads numbers with a fraction or an exponent as Decimals."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"parse_float": Decimal})

    @override
    def decode(self, s: str, *arguments: Any) -> Any:
        """Return the document; raises JSONDecodeError, also for what no number can be."""
        try:
            return super().decode(s, *arguments)
        except json.JSONDecodeError:
            raise
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise json.JSONDecodeError("a number or a depth beyond measure", s, 0) from error
