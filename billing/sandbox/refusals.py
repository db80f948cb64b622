"""What the server says no with: Stripe's error body and its status."""

from typing import Any


class RefusalError(Exception):
    """An answer that is an error.

    `is_saved` says whether the answer is kept under the request's idempotency key: refusals by
    the rules of an object are, those of the parameters come before the layer that keeps them.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        is_saved: bool = True,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.is_saved = is_saved
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return Stripe's error object, without the members that do not apply."""
        error: dict[str, Any] = {"type": self.kind, "message": self.message, **self.details}
        if self.code:
            error["code"] = self.code
        if self.param:
            error["param"] = self.param
        return {"error": error}


def unsaved(message: str, *, code: str | None = None, param: str | None = None) -> RefusalError:
    """Return a refusal of a parameter, which no idempotency key remembers."""
    return RefusalError(message, code=code, param=param, is_saved=False)


def missing(noun: str, object_id: str, *, param: str | None = None) -> RefusalError:
    """Return Stripe's answer for an id it does not know: 404 in the path, 400 in a parameter."""
    return RefusalError(
        f"No such {noun}: '{object_id}'",
        status=400 if param else 404,
        code="resource_missing",
        param=param or "id",
        is_saved=False,
    )
