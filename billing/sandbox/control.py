"""The control API under /_sandbox/: the clock, the faults, the webhooks, and what people do.

GET    /_sandbox/state
POST   /_sandbox/clock      {"advance": seconds} or {"to": unix time}
POST   /_sandbox/faults     {"kind", "operation", "after", "times", "every", "seconds"}
DELETE /_sandbox/faults
POST   /_sandbox/webhooks   {"hold": true}, {"release": "forward" or "reversed"}, {"copies": n}
POST   /_sandbox/endpoints/ID/roll              {"secret": "whsec_..."}
POST   /_sandbox/customers/ID/discount          {"percent_off": 10}
POST   /_sandbox/customers/ID/card              {"payment_method": "pm_card_visa"}
POST   /_sandbox/disputes/ID/lose
POST   /_sandbox/refunds/ID/fail
POST   /_sandbox/invoices/ID/pay, decline, void, refund, dispute, fail_finalization
DELETE /_sandbox/invoices/ID/lines/LINE
"""

from collections.abc import Callable
from typing import Any

from billing.sandbox import actions
from billing.sandbox.api import Api
from billing.sandbox.events import roll_secret
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.refusals import RefusalError, unsaved
from billing.sandbox.reversals import fail_refund, lose_dispute

type Document = dict[str, Any]


def handle(api: Api, method: str, path: str, document: Document) -> Document:
    """Carry out one control request and return its JSON answer."""
    match path.strip("/").split("/")[1:]:
        case [kind, object_id, *rest]:
            return meddle(api, method, [kind, object_id, *rest], document)
        case [name] if action := SERVER_ACTIONS.get(f"{method} {name}"):
            action(api, document)
            return state(api)
    raise unrecognized(method, path)


def meddle(api: Api, method: str, parts: list[str], document: Document) -> Document:
    """Do to an object what people do in the Dashboard or on the page where they pay."""
    account = api.account
    match method, parts:
        case "POST", ["endpoints", endpoint_id, "roll"]:
            change(api, lambda: roll_secret(account, endpoint_id, str(document["secret"])))
        case "POST", ["customers", customer_id, "discount"]:
            percent = int(document["percent_off"])
            change(api, lambda: actions.give_discount(account, customer_id, percent))
        case "POST", ["customers", customer_id, "card"]:
            method = str(document["payment_method"])
            change(api, lambda: actions.use_card(account, customer_id, method))
        case "POST", ["disputes", dispute_id, "lose"]:
            change(api, lambda: lose_dispute(account, dispute_id))
        case "POST", ["refunds", refund_id, "fail"]:
            change(api, lambda: fail_refund(account, refund_id))
        case "DELETE", ["invoices", invoice_id, "lines", line_id]:
            change(api, lambda: actions.take_line_off(account, invoice_id, line_id))
        case "POST", ["invoices", invoice_id, verb] if verb in actions.ACTIONS:
            message = change(api, lambda: actions.ACTIONS[verb](account, invoice_id))
            return {"message": message}
        case _:
            raise unrecognized(method, "/".join(parts))
    return state(api)


def unrecognized(method: str, path: str) -> RefusalError:
    return RefusalError(f"Unrecognized control URL ({method}: {path}).", status=404)


def change(api: Api, action: Any) -> Any:
    """Run `action` as one operation: locked, durable, its webhooks sent."""
    with api.account.lock:
        try:
            answer = action()
        finally:
            told = api.account.commit()
    api.deliverer.enqueue(told)
    return answer


def state(api: Api) -> Document:
    with api.account.lock:
        tables = api.account.store.tables
        return {
            "now": api.account.now(),
            "requests": api.faults.requests,
            "objects": {kind: len(records) for kind, records in tables.items()},
        }


def reset(api: Api, _: Document | None = None) -> None:
    """Start over as an empty account on time, without faults."""
    api.deliverer.forget()
    api.faults.clear()
    with api.account.lock:
        api.account.store.clear()


def move_clock(api: Api, document: Document) -> None:
    with api.account.lock:
        now = api.account.now()
        to = int(document["to"]) if "to" in document else now + int(document["advance"])
        api.account.store.move_clock(to=to)
        api.account.store.commit()


def planned(document: Document) -> Fault:
    kinds = {kind.value: kind for kind in Kind}
    if document.get("kind") not in kinds:
        raise unsaved(f"Invalid kind: must be one of {', '.join(kinds)}", param="kind")
    numbers = {
        key: int(document[key]) for key in ("after", "times", "every", "seconds") if key in document
    }
    return Fault(kinds[document["kind"]], operation=str(document.get("operation", "")), **numbers)


def steer_webhooks(api: Api, document: Document) -> None:
    if "copies" in document:
        api.deliverer.copies = int(document["copies"])
    if document.get("hold"):
        api.deliverer.is_held = True
    if "release" in document:
        api.deliverer.release(is_reversed=document["release"] == "reversed")


SERVER_ACTIONS: dict[str, Callable[[Api, Document], object]] = {
    "GET state": lambda api, _: state(api),
    "DELETE state": reset,
    "POST clock": move_clock,
    "POST faults": lambda api, document: api.faults.add(planned(document)),
    "DELETE faults": lambda api, _: api.faults.clear(),
    "POST webhooks": steer_webhooks,
}
