"""The least and the most that Stripe collects at once, as it says at docs.stripe.com/currencies.

The least is that of the currency the account is paid out in: what is billed in another one is
converted first. So where the two differ, STRIPE_MINIMUM_AMOUNTS says what really holds; the rest is
known from here. Of a currency in neither place Stripe says nothing.
"""

from collections.abc import Mapping
from decimal import Decimal

from billing.gateways.minor_units import from_minor

MINIMUMS = {
    currency: Decimal(amount)
    for amount, currencies in {
        "0.30": "GBP",
        "0.50": "AUD BRL CAD CHF EUR INR NZD SGD USD",
        "1": "BGN",
        "2": "AED MYR PLN RON",
        "2.50": "DKK",
        "3": "NOK SEK",
        "4": "HKD",
        "10": "MXN THB",
        "15": "CZK",
        "50": "JPY",
        "175": "HUF",
    }.items()
    for currency in currencies.split()
}
# In minor units, which is how the number of digits is limited.
MAXIMUM = 99_999_999
MAXIMUMS = {
    "INR": 999_999_999,
    "JPY": 9_999_999_999,
    "COP": 999_999_999_999,
    "HUF": 999_999_999_999,
    "IDR": 999_999_999_999,
    "LBP": 99_999_999_999_999,
}


def smallest_charge(currency: str, own: Mapping[str, Decimal]) -> Decimal:
    """Return the least that is collected, `own` coming first; zero where none is known."""
    return own.get(currency, MINIMUMS.get(currency, Decimal(0)))


def greatest_charge(currency: str) -> Decimal:
    """Return the most that is collected at once."""
    return from_minor(MAXIMUMS.get(currency, MAXIMUM), currency)
