"""Schemathesis sends what the OpenAPI document allows, and what it does not, to every endpoint."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from config.wsgi import application
from customers import services
from tests.factories import make_customer, make_key, make_meter


@schemathesis.serializer("application/x-ndjson")
def lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


# Enough to meet every field of every endpoint in a wrong form; the fuzz tests go deeper.
EXAMPLES = 5


@pytest.fixture
def open_connection(db: None) -> Iterator[None]:
    """Keep the test's transaction open at the end of a request, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def secret(open_connection: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an operator key's secret, among customers and meters to ask about."""
    make_customer("acme")
    make_meter("calls")
    made = make_key()
    # Who asks is not in question here, and looking the key up would take a quarter of the time.
    monkeypatch.setattr(services, "authenticate_api_key", lambda **asked: made.api_key)
    return made.secret


generator = SchemaGenerator()  # type: ignore[no-untyped-call]
schema = schemathesis.openapi.from_dict(
    generator.get_schema(public=True)  # type: ignore[no-untyped-call]
)
schema.app = application


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_endpoint_breaks_or_answers_against_its_document(
    case: schemathesis.Case[Any], secret: str
) -> None:
    case.call_and_validate(
        headers={"Authorization": f"Bearer {secret}"},
        checks=[not_a_server_error, response_schema_conformance],
    )
