"""Events and the endpoints they are posted to."""

from billing.sandbox.account import API_VERSION, Account, is_within, listed, refuse_expansion
from billing.sandbox.params import (
    EXPAND,
    PAGE,
    Reader,
    Tree,
    boolean,
    bounds,
    list_of,
    metadata,
    read_params,
    text,
)
from billing.sandbox.refusals import unsaved
from billing.sandbox.store import Record, new_id, public

# R19: a rolled secret goes on signing beside the new one for a day.
ROLLED_SECRET_SECONDS = 24 * 3600

FILTERS: dict[str, Reader] = {
    **PAGE,
    "created": bounds,
    "delivery_success": boolean,
    "type": text(),
    "types": list_of(text(), limit=20),
}
ENDPOINT: dict[str, Reader] = {
    "url": text(may_be_empty=False),
    "enabled_events": list_of(text(), limit=500),
    "api_version": text(),
    "description": text(),
    "metadata": metadata,
    "expand": EXPAND,
}


def retrieve_event(account: Account, tree: Tree, event_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return public(account.find("event", "event", event_id))


def list_events(account: Account, tree: Tree) -> Record:
    params = read_params(tree, FILTERS)
    refuse_expansion(params)
    kinds = [*params.get("types", []), *([params["type"]] if "type" in params else [])]
    wanted = params.get("delivery_success")
    found = [
        public(event)
        for event in reversed(account.store.table("event").values())
        if (not kinds or event["type"] in kinds)
        and (wanted is None or wanted == (event["pending_webhooks"] == 0))
        and is_within(event["created"], params.get("created", {}))
    ]
    return listed(found, params, "/v1/events")


def create_endpoint(account: Account, tree: Tree) -> Record:
    params = read_params(tree, ENDPOINT, required=("url", "enabled_events"))
    refuse_expansion(params)
    if not params["url"].startswith(("http://", "https://")):
        raise unsaved(
            "Invalid URL: An explicit scheme (such as https) must be provided.", param="url"
        )
    secret = new_id("whsec")
    endpoint = add_endpoint(
        account, url=params["url"], secret=secret, events=params["enabled_events"]
    )
    return {**public(endpoint), "secret": secret}


def add_endpoint(account: Account, *, url: str, secret: str, events: list[str]) -> Record:
    """Register an endpoint under a secret of the caller's choosing; one a URL."""
    known = [item for item in account.store.table("endpoint").values() if item["url"] == url]
    endpoint: Record = {
        "id": known[0]["id"] if known else new_id("we"),
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": account.now(),
        "description": None,
        "enabled_events": events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        "_secrets": [{"secret": secret, "until": None}],
    }
    return account.store.put("endpoint", endpoint["id"], endpoint)


def roll_secret(account: Account, endpoint_id: str, secret: str) -> None:
    endpoint = account.find("endpoint", "webhook endpoint", endpoint_id)
    until = account.now() + ROLLED_SECRET_SECONDS
    old = [{**item, "until": item["until"] or until} for item in endpoint["_secrets"]]
    endpoint["_secrets"] = [{"secret": secret, "until": None}, *old]
    account.store.put("endpoint", endpoint_id, endpoint)


def live_secrets(account: Account, endpoint: Record) -> list[str]:
    now = account.now()
    return [
        item["secret"]
        for item in endpoint["_secrets"]
        if item["until"] is None or item["until"] > now
    ]


def list_endpoints(account: Account, tree: Tree) -> Record:
    params = read_params(tree, PAGE)
    refuse_expansion(params)
    found = [public(endpoint) for endpoint in reversed(account.store.table("endpoint").values())]
    return listed(found, params, "/v1/webhook_endpoints")


def retrieve_endpoint(account: Account, tree: Tree, endpoint_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return public(account.find("endpoint", "webhook endpoint", endpoint_id))


def delete_endpoint(account: Account, tree: Tree, endpoint_id: str) -> Record:
    read_params(tree, {})
    account.find("endpoint", "webhook endpoint", endpoint_id)
    account.store.remove("endpoint", endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}
