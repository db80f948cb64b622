"""The form of tax ids: length, letters and check digits, country by country.

Whether a number is somebody's is for the tax offices to say; this says whether it can be one.
"""

import re

from stdnum import get_cc_module
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

EU_COUNTRIES = frozenset(country.upper() for country in vat.MEMBER_STATES)
# What a number has at least where its country's form is not known.
PLAUSIBLE = re.compile(r"[0-9A-Z][0-9A-Z./ -]{3,38}[0-9A-Z]")


def compact_tax_id(tax_id: str, country: str) -> str:
    """Return a tax id without spaces and punctuation, as documents print it.

    `country` is that of its holder, two letters, empty if unknown. A number of the European Union
    may begin with its country. Raises ValueError for a number that cannot be one there.
    """
    text = tax_id.strip().upper()
    eu = eu_country(text, country)
    if eu:
        return checked(vat, text if has_prefix(text, eu) else prefix_of(eu) + text, eu)
    module = get_cc_module(country.lower(), "vat") if country.isalpha() else None
    if module is not None:
        return checked(module, text, country)
    if not PLAUSIBLE.fullmatch(text) or not any(sign.isdigit() for sign in text):
        raise ValueError("A tax id is 5 to 40 letters and digits.")
    return text


def eu_country(text: str, country: str) -> str:
    """Return the member state whose form a number has to have, or nothing."""
    named = {"EL": "GR"}.get(text[:2], text[:2])
    if named in EU_COUNTRIES and (not country or vat.is_valid(text)):
        # Companies have numbers of other member states too.
        return named
    return country if country in EU_COUNTRIES else ""


def prefix_of(country: str) -> str:
    """Return how numbers of a member state begin: Greece writes EL."""
    return {"GR": "EL"}.get(country, country)


def has_prefix(text: str, country: str) -> bool:
    return text.startswith((prefix_of(country), country))


def checked(module: object, text: str, country: str) -> str:
    try:
        return str(module.validate(text))  # type: ignore[attr-defined]
    except ValidationError as error:
        raise ValueError(
            f"{text:.40} cannot be a tax id of {country}: {str(error).rstrip('.').lower()}."
        ) from error
