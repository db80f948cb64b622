"""The one exception that services raise when a rule of the business says no."""


class DomainError(Exception):
    """A refused operation: `code` for programs, the message for people.

    The API answers 409 with both, the admin and the portal show the message.
    """

    code = "conflict"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidInputError(DomainError):
    """Input that can never succeed as it stands; the API answers 422.

    `field` is the dotted path of the offending value, such as `prices.0.tiers`.
    """

    code = "invalid"

    def __init__(self, message: str, *, field: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFoundError(DomainError):
    """Nothing there, or nothing this caller may see; the API answers 404."""

    code = "not_found"


class TooLargeError(DomainError):
    """More than one request may hold; the API answers 413."""

    code = "too_large"


class SuspendedError(DomainError):
    """A caller whose access is suspended; the API answers 403."""

    code = "suspended"
