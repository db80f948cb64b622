"""Addresses of the customer portal."""

from django.urls import URLPattern, path

from billing.portal.views import home, invoices, keys, overview, usage

CUSTOMER = "portal/<str:customer_key>/"

urlpatterns: list[URLPattern] = [
    path("", home.home, name="portal-home"),
    path("brand.css", home.brand_stylesheet, name="brand-stylesheet"),
    path("portal/", home.customers, name="portal-customers"),
    path(CUSTOMER, overview.overview, name="portal-overview"),
    path(CUSTOMER + "usage/", usage.usage_explorer, name="portal-usage"),
    path(CUSTOMER + "keys/", keys.key_list, name="portal-keys"),
    path(CUSTOMER + "keys/new/", keys.key_create, name="portal-key-create"),
    path(CUSTOMER + "keys/<int:key_id>/revoke/", keys.key_revoke, name="portal-key-revoke"),
    path(CUSTOMER + "invoices/", invoices.invoice_list, name="portal-invoices"),
    path(CUSTOMER + "invoices/<str:number>/", invoices.invoice_detail, name="portal-invoice"),
]
