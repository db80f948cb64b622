"""Pages for people: the invoices here, and the page where a customer pays one."""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, quote

from billing.sandbox import actions
from billing.sandbox.account import Account
from billing.sandbox.api import Api
from billing.sandbox.control import change
from billing.sandbox.invoices import find, lines_of
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Record

STYLE = (Path(__file__).parent / "style.css").read_text()
LATEST = 200
BUTTONS = {
    "open": (("pay", "Pay", "main"), ("decline", "Decline", ""), ("void", "Void", "")),
    "uncollectible": (("pay", "Pay", "main"), ("decline", "Decline", ""), ("void", "Void", "")),
    "paid": (("refund", "Refund", ""), ("dispute", "Dispute", "")),
}
CARDS = (("pm_card_visa", "A card that works"), ("pm_card_chargeDeclined", "One that is declined"))
ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


@dataclass(frozen=True)
class Page:
    html: str
    status: int = 200
    location: str = ""


def answer(api: Api, method: str, path: str, query: str, body: str) -> Page:
    """Show a page, or do what its form asks and go back."""
    account = api.account
    try:
        match method, [part for part in path.split("/") if part]:
            case "GET", []:
                with account.lock:
                    return index(account, notice(query))
            case "GET", ["i", invoice_id]:
                with account.lock:
                    return hosted(account, find(account, invoice_id), notice(query))
            case "GET", ["i", invoice_id, "pdf"]:
                with account.lock:
                    return document(account, find(account, invoice_id))
            case "GET", ["portal", customer_id]:
                with account.lock:
                    return portal(account, customer_id, notice(query))
            case "POST", ["portal", customer_id, "card"]:
                return use_card(api, customer_id, body)
            case "POST", ["i", invoice_id, verb] if verb in actions.ACTIONS:
                return act(api, invoice_id, verb, body)
    except RefusalError as refusal:
        return laid_out("Not found", f"<p>{escape(refusal.message)}</p>", status=refusal.status)
    return laid_out("Not found", "<p>There is no such page.</p>", status=404)


def act(api: Api, invoice_id: str, verb: str, body: str) -> Page:
    back = "/" if parse_qs(body).get("back") == ["/"] else f"/i/{invoice_id}"
    try:
        message = change(api, lambda: actions.ACTIONS[verb](api.account, invoice_id))
    except RefusalError as refusal:
        message = refusal.message
    return Page("", status=303, location=f"{back}?notice={quote(message)}")


def use_card(api: Api, customer_id: str, body: str) -> Page:
    card = parse_qs(body).get("card", [""])[0]
    change(api, lambda: actions.use_card(api.account, customer_id, card))
    return Page("", status=303, location=f"/portal/{customer_id}?notice=Saved.")


def notice(query: str) -> str:
    messages = parse_qs(query).get("notice", [])
    return f'<p class="notice sheet" role="status">{escape(messages[0])}</p>' if messages else ""


def index(account: Account, told: str) -> Page:
    invoices = list(reversed(account.store.table("invoice").values()))[:LATEST]
    rows = "".join(row(invoice) for invoice in invoices)
    table = f"""<div class="sheet list"><table>
        <thead><tr><th>Invoice</th><th>Customer</th><th>Status</th>
        <th class="amount">Total</th><th>As the customer</th></tr></thead>
        <tbody>{rows}</tbody></table></div>"""
    empty = '<div class="sheet empty">No invoice has been pushed here yet.</div>'
    return laid_out("Invoices", told + (table if rows else empty))


def row(invoice: Record) -> str:
    name = escape(invoice["number"] or "Draft")
    customer = escape(invoice["customer_name"] or invoice["customer"])
    return f"""<tr><td><a href="/i/{invoice["id"]}">{name}</a></td><td>{customer}</td>
        <td>{state(invoice)}</td><td class="amount">{money(invoice, "total")}</td>
        <td class="actions">{buttons(invoice, back="/")}</td></tr>"""


def hosted(account: Account, invoice: Record, told: str) -> Page:
    title = f"Invoice {invoice['number'] or '(draft)'}"
    due = f"Due {day(invoice['due_date'])}" if invoice["due_date"] else "No due date"
    main = f"""{told}<article class="sheet narrow">
        <p class="total">{money(invoice, "total")}</p>
        <p class="quiet">{state(invoice)} · {due} · {escape(invoice["customer_name"] or "")}</p>
        {buttons(invoice, back="")}
        {lines_table(account, invoice)}
        <p><a href="/i/{invoice["id"]}/pdf">Print</a></p></article>"""
    return laid_out(title, main)


def document(account: Account, invoice: Record) -> Page:
    title = f"Invoice {invoice['number'] or '(draft)'}"
    issued = invoice["effective_at"] or invoice["created"]
    main = f"""<article class="sheet narrow">
        <p>{escape(invoice["account_name"])}</p>
        <p>To {escape(invoice["customer_name"] or invoice["customer"])}<br>
        <span class="quiet">{escape(invoice["customer_email"] or "")}</span></p>
        <p class="quiet">Issued {day(issued)}</p>
        {lines_table(account, invoice)}</article>"""
    return laid_out(title, main)


def portal(account: Account, customer_id: str, told: str) -> Page:
    customer = account.find("customer", "customer", customer_id, param="customer")
    mine = [
        invoice
        for invoice in reversed(account.store.table("invoice").values())
        if invoice["customer"] == customer_id and invoice["status"] != "draft"
    ]
    rows = "".join(row(invoice) for invoice in mine)
    empty = '<div class="sheet empty">No invoices yet.</div>'
    table = f'<div class="sheet list"><table><tbody>{rows}</tbody></table></div>'
    main = told + payment_method(customer) + (table if rows else empty)
    return laid_out(f"Billing of {customer.get('name') or customer_id}", main)


def payment_method(customer: Record) -> str:
    used = customer["invoice_settings"]["default_payment_method"]
    choices = "".join(
        f'<button name="card" value="{card}">{escape(label)}</button>' for card, label in CARDS
    )
    return f"""<article class="sheet narrow"><p>Payment method: {escape(used or "none")}</p>
        <form method="post" action="/portal/{customer["id"]}/card">{choices}</form></article>"""


def lines_table(account: Account, invoice: Record) -> str:
    rows = "".join(
        f"<tr><td>{escape(line['description'] or '')}</td>"
        f'<td class="amount">{money(line, "amount")}</td></tr>'
        for line in lines_of(account, invoice)
    )
    return f"""<table><thead><tr><th>Description</th><th class="amount">Amount</th></tr></thead>
        <tbody>{rows}</tbody><tfoot><tr><td>Total</td>
        <td class="amount">{money(invoice, "total")}</td></tr></tfoot></table>"""


def buttons(invoice: Record, *, back: str) -> str:
    if invoice["status"] not in BUTTONS or not invoice["total"]:
        return ""
    made = "".join(
        f'<button class="{kind}" formaction="/i/{invoice["id"]}/{verb}">{label}</button>'
        for verb, label, kind in BUTTONS[invoice["status"]]
    )
    return f'<form method="post"><input type="hidden" name="back" value="{back}">{made}</form>'


def state(invoice: Record) -> str:
    return f'<span class="state {invoice["status"]}">{invoice["status"].capitalize()}</span>'


def money(record: Record, field: str) -> str:
    code = record["currency"]
    places = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
    return f"{Decimal(record[field]).scaleb(-places):,} {code.upper()}"


def day(instant: int) -> str:
    return f"{datetime.datetime.fromtimestamp(instant, datetime.UTC):%d %B %Y}"


def laid_out(title: str, main: str, *, status: int = 200) -> Page:
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Stripe sandbox</title><style>{STYLE}</style></head>
<body><header><a href="/">Stripe sandbox</a>
<span>No real money: this server stands in for Stripe on this machine.</span></header>
<main><h1>{escape(title)}</h1>{main}</main></body></html>"""
    return Page(html, status=status)
