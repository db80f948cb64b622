"""Somebody outside: a program with an operator key, and the nightly command."""

from itertools import count
from typing import Any

from django.core.management import call_command
from rest_framework.test import APIClient

_ids = count(1)


class Outsider:
    """Sets up plans and customers over HTTP, reports usage, runs nights, and reads documents."""

    def __init__(self, client: APIClient) -> None:
        self.client = client

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(f"/api/v1/{path}", body, format="json")
        assert answer.status_code < 300, answer.json()
        return answer.json()

    def meter(self, key: str = "calls", **fields: Any) -> None:
        counting = {"event_type": "api.request", "aggregation": "count"}
        self.post("meters", key=key, name=key.title(), **counting | fields)

    def plan(self, *prices: dict[str, Any], key: str = "pro", **terms: Any) -> None:
        self.post("plans", key=key, name=key.title(), prices=list(prices), **terms)

    def customer(self, key: str = "acme", **fields: Any) -> None:
        self.post("customers", key=key, name=key.title(), **fields)

    def subscribe(
        self, start_at: str, plan: str = "pro", customer: str = "acme", **terms: Any
    ) -> int:
        body = {"customer": customer, "plan": plan, "start_at": start_at}
        subscription: int = self.post("subscriptions", **body, **terms)["id"]
        return subscription

    def change(self, subscription: int, at: str, **what: Any) -> Any:
        return self.post(f"subscriptions/{subscription}/change", at=at, **what)

    def use(self, at: str, calls: int = 1, customer: str = "acme", **properties: Any) -> None:
        """Report calls, late or not, at one instant."""
        events = [
            {
                "id": f"e-{next(_ids)}",
                "type": "api.request",
                "customer": customer,
                "timestamp": at,
                "properties": properties,
            }
            for _ in range(calls)
        ]
        answer = self.client.post("/api/v1/events?backfill=true", events, format="json").json()
        assert answer["accepted"] == calls, answer

    def night(self, at: str) -> None:
        call_command("nightly", "--at", at, stdout=None)

    def invoices(self, customer: str = "acme", **query: str) -> list[dict[str, Any]]:
        """Return documents in the order they were made."""
        answer = self.client.get("/api/v1/invoices", {"customer": customer, **query}).json()
        return list(reversed(answer["results"]))

    def lines(self, customer: str = "acme") -> list[str]:
        """Return the amounts of all lines of all documents, in their order."""
        return [line["amount"] for each in self.invoices(customer) for line in each["lines"]]

    def totals(self, customer: str = "acme") -> list[str]:
        return [each["total"] for each in self.invoices(customer)]
