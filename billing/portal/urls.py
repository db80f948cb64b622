"""Addresses of the customer portal."""

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from billing.portal.views import (
    events,
    explanations,
    home,
    invoices,
    keys,
    overview,
    payment,
    usage,
)


class NameConverter(StringConverter):
    """A part of an address without the zero character, which no database can look for."""

    regex = "[^/\\0]+"


register_converter(NameConverter, "name")

CUSTOMER = "portal/<name:customer_key>/"

urlpatterns: list[URLPattern] = [
    path("", home.home, name="portal-home"),
    path("brand.css", home.brand_stylesheet, name="brand-stylesheet"),
    path("portal/", home.customers, name="portal-customers"),
    path(CUSTOMER, overview.overview, name="portal-overview"),
    path(CUSTOMER + "usage/", usage.usage_explorer, name="portal-usage"),
    path(CUSTOMER + "usage.csv", usage.usage_csv, name="portal-usage-csv"),
    path(CUSTOMER + "events/", events.event_list, name="portal-events"),
    path(CUSTOMER + "events.csv", events.event_csv, name="portal-events-csv"),
    path(CUSTOMER + "keys/", keys.key_list, name="portal-keys"),
    path(CUSTOMER + "keys/new/", keys.key_create, name="portal-key-create"),
    path(CUSTOMER + "keys/<int:key_id>/revoke/", keys.key_revoke, name="portal-key-revoke"),
    path(CUSTOMER + "invoices/", invoices.invoice_list, name="portal-invoices"),
    path(CUSTOMER + "invoices/<name:number>/", invoices.invoice_detail, name="portal-invoice"),
    path(CUSTOMER + "invoices/<name:number>/pay/", payment.invoice_pay, name="portal-invoice-pay"),
    path(CUSTOMER + "payment-method/", payment.payment_method, name="portal-payment-method"),
    path(
        CUSTOMER + "invoices/<name:number>/pdf/", invoices.invoice_file, name="portal-invoice-pdf"
    ),
    path(
        CUSTOMER + "credit-notes/<name:number>/pdf/",
        invoices.credit_note_file,
        name="portal-credit-note-pdf",
    ),
    path(
        CUSTOMER + "invoices/<name:number>/lines/<int:position>/",
        explanations.invoice_line,
        name="portal-invoice-line",
    ),
]
