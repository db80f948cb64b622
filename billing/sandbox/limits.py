"""What is too little or too much to collect at once, in minor units (R24, R25)."""

from billing.sandbox.refusals import RefusalError

# The account is paid out in every currency that Stripe names a minimum for; others are converted,
# and of those this server knows one.
LEAST = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
    "zar": 900,
}  # fmt: skip
DIGITS = {"inr": 9, "jpy": 10, "cop": 12, "huf": 12, "idr": 12, "lbp": 14}


def least(currency: str) -> int:
    return LEAST.get(currency, 1)


def greatest(currency: str) -> int:
    return int("9" * DIGITS.get(currency, 8))


def too_small(currency: str) -> RefusalError:
    return RefusalError(
        f"Amount must convert to at least {least(currency)} in {currency}'s minor unit.",
        code="amount_too_small",
    )


def too_large(currency: str) -> RefusalError:
    return RefusalError(
        f"Amount must be no more than {greatest(currency)} in {currency}'s minor unit.",
        code="amount_too_large",
    )
