"""Money as Stripe writes it: whole numbers of a currency's minor unit.

The table is Stripe's (docs.stripe.com/currencies), not ISO 4217: ISK and UGX have no decimals
but are sent with two that must be 00, and the last digit of three-decimal currencies must be 0.
A currency that is not in the table is refused, because guessing is wrong by a factor of 100.
"""

from decimal import Decimal

from billing.gateways.errors import RefusedError

DECIMALS = {
    currency: places
    for places, currencies in {
        0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
        2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN "
        "BZD CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ "
        "GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL "
        "MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN "
        "QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS "
        "UAH UGX USD UYU UZS WST XCD YER ZAR ZMW",
        3: "BHD JOD KWD OMR TND",
    }.items()
    for currency in currencies.split()
}

# The smallest step an amount may have, in minor units, where it is not 1.
STEPS = {"ISK": 100, "UGX": 100, "BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10}


def decimals(currency: str) -> int:
    """Return how many decimals Stripe's amounts have. Raises RefusedError if it is unknown."""
    if currency in DECIMALS:
        return DECIMALS[currency]
    raise RefusedError(
        f"Stripe takes no {currency}. Bill this customer in another currency, or outside Stripe.",
        code="currency_unknown",
    )


def smallest_step(currency: str) -> Decimal:
    """Return the smallest amount of money Stripe has a number for."""
    return Decimal(STEPS.get(currency, 1)).scaleb(-decimals(currency))


def to_minor(amount: Decimal, currency: str) -> int:
    """Return `amount` in minor units. Raises RefusedError if that is not a whole step."""
    minor = amount.scaleb(decimals(currency))
    if minor != minor.to_integral_value() or int(minor) % STEPS.get(currency, 1):
        raise RefusedError(
            f"Stripe takes {currency} in steps of {smallest_step(currency)}, and {amount} is not "
            "one.",
            code="amount_not_representable",
        )
    return int(minor)


def from_minor(minor: int, currency: str) -> Decimal:
    """Return the money that Stripe means by `minor`; `currency` in either case."""
    return Decimal(minor).scaleb(-decimals(currency.upper()))
