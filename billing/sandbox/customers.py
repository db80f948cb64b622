"""Customers, and the billing portal sessions that belong to them."""

from typing import Any

from billing.sandbox.account import Account, is_within, listed, refuse_expansion
from billing.sandbox.params import (
    ADDRESS,
    EXPAND,
    PAGE,
    Reader,
    Tree,
    bounds,
    choice,
    hash_of,
    integer,
    list_of,
    metadata,
    read_params,
    text,
)
from billing.sandbox.store import Record, new_id

WRITABLE: dict[str, Reader] = {
    "name": text(256),
    "email": text(512),
    "phone": text(20),
    "description": text(),
    "address": ADDRESS,
    "balance": integer,
    "invoice_prefix": text(12),
    "next_invoice_sequence": integer,
    "invoice_settings": hash_of({"default_payment_method": text(), "footer": text()}),
    "preferred_locales": list_of(text()),
    "tax_exempt": choice("", "none", "exempt", "reverse"),
    "metadata": metadata,
    "expand": EXPAND,
}
FILTERS: dict[str, Reader] = {**PAGE, "email": text(512), "created": bounds}
SESSION: dict[str, Reader] = {
    "customer": text(may_be_empty=False),
    "return_url": text(),
    "locale": text(),
    "expand": EXPAND,
}


def create_customer(account: Account, tree: Tree) -> Record:
    params = read_params(tree, WRITABLE)
    refuse_expansion(params)
    customer: Record = {
        "id": new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "business_name": None,
        "created": account.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": new_id("p")[2:10].upper(),
        "invoice_settings": {"default_payment_method": None, "footer": None},
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    change(customer, params)
    account.store.put("customer", customer["id"], customer)
    account.emit("customer.created", dict(customer))
    return dict(customer)


def change(customer: Record, params: dict[str, Any]) -> None:
    # An empty string clears a field; metadata and settings are merged key by key.
    customer["metadata"] = merged(customer["metadata"], params.pop("metadata", {}))
    customer["invoice_settings"] |= params.pop("invoice_settings", {})
    customer.update({key: None if value == "" else value for key, value in params.items()})


def merged(before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in {**before, **given}.items() if value != ""}


def retrieve_customer(account: Account, tree: Tree, customer_id: str) -> Record:
    refuse_expansion(read_params(tree, {"expand": EXPAND}))
    return dict(account.find("customer", "customer", customer_id))


def update_customer(account: Account, tree: Tree, customer_id: str) -> Record:
    params = read_params(tree, WRITABLE)
    refuse_expansion(params)
    customer = account.find("customer", "customer", customer_id, param="id")
    change(customer, params)
    account.store.put("customer", customer_id, customer)
    account.emit("customer.updated", dict(customer))
    return dict(customer)


def delete_customer(account: Account, tree: Tree, customer_id: str) -> Record:
    read_params(tree, {})
    account.find("customer", "customer", customer_id, param="id")
    # R1: a deleted customer can still be asked for, and says that it is deleted.
    stub = {"id": customer_id, "object": "customer", "deleted": True}
    account.store.put("customer", customer_id, stub)
    account.emit("customer.deleted", stub)
    return stub


def list_customers(account: Account, tree: Tree) -> Record:
    params = read_params(tree, FILTERS)
    refuse_expansion(params)
    found = [
        dict(customer)
        for customer in reversed(account.store.table("customer").values())
        if not customer.get("deleted")
        and customer["email"] == params.get("email", customer["email"])
        and is_within(customer["created"], params.get("created", {}))
    ]
    return listed(found, params, "/v1/customers")


def create_portal_session(account: Account, tree: Tree) -> Record:
    params = read_params(tree, SESSION, required=("customer",))
    refuse_expansion(params)
    customer = account.find("customer", "customer", params["customer"], param="customer")
    session_id = new_id("bps")
    return {
        "id": session_id,
        "object": "billing_portal.session",
        "after_expiration": None,
        "configuration": "bpc_sandbox",
        "created": account.now(),
        "customer": customer["id"],
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": params.get("locale"),
        "on_behalf_of": None,
        "return_url": params.get("return_url"),
        "url": f"{account.public_url}/portal/{customer['id']}",
    }
