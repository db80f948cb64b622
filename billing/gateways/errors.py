"""What can go wrong at Stripe, sorted by what the caller has to do about it."""


class StripeGatewayError(Exception):
    """A call that did not answer with an object.

    `message` is Stripe's own sentence, `code` its code where there is one, and `request_id` what
    Stripe's support asks for.
    """

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.request_id = request_id


class OutcomeUnknownError(StripeGatewayError):
    """No answer, or none that can be read: it may have happened. Ask again under the same key."""


class ServerFailureError(OutcomeUnknownError):
    """An answer of 5xx, which Stripe saves under the key: asking for ever would not help."""


class BusyError(StripeGatewayError):
    """Not executed: too many requests, or the object or key is in use. Same key, later."""


class CredentialsError(StripeGatewayError):
    """The API key is wrong, revoked or may not do this. No call can succeed until it is fixed."""


class RefusedError(StripeGatewayError):
    """Stripe will not do this, now or later, until a person changes something."""


class KeyReusedError(RefusedError):
    """Another request was sent under this key before: never answer it with just a new key."""


class StateMovedError(RefusedError):
    """The invoice is no longer in the state the call needs. Read it and go on from there."""


class GoneError(RefusedError):
    """There is no such object in this account and mode."""


class CardDeclinedError(RefusedError):
    """The customer's money did not come; the invoice stays open."""


class ConfirmationNeededError(CardDeclinedError):
    """The customer's bank asks for a confirmation; until it has it, the invoice stays open."""


class WebhookRefusedError(Exception):
    """A webhook that is not proven to be Stripe's, or that cannot be read."""
