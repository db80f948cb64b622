"""What the OpenAPI document says about authentication. Importing this registers it."""

from typing import Any, override

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from customers.api.idempotency import EXEMPT, HEADER, LONGEST_KEY


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "customers.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    @override
    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key of a customer or of the operator.",
        }


def add_idempotency_key(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of each POST that it takes an Idempotency-Key; events have ids of their own."""
    parameter = {
        "in": "header",
        "name": HEADER,
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
        "description": "Sent again under the same key, the request is done once.",
    }
    for path, operations in result["paths"].items():
        if "post" in operations and path not in EXEMPT:
            operations["post"].setdefault("parameters", []).append(parameter)
    return result
