"""The look of the admin: brand, environment label and the sidebar.

Links are admin URL names, so a page that moves keeps its place in the sidebar.
"""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import lazy

static_lazy = lazy(static, str)

# Lightness and share of the brand's chroma for each weight the theme asks for. Fixing the
# lightness keeps text readable whatever the brand's colour is.
WEIGHTS = {
    "50": ("0.977", "0.12"),
    "100": ("0.95", "0.25"),
    "200": ("0.9", "0.5"),
    "300": ("0.83", "0.8"),
    "400": ("0.74", "1"),
    "500": ("0.66", "1"),
    "600": ("0.52", "1"),
    "700": ("0.46", "0.95"),
    "800": ("0.4", "0.85"),
    "900": ("0.34", "0.75"),
    "950": ("0.27", "0.65"),
}


def palette(color: str) -> dict[str, str]:
    """Return the theme's weights of a brand colour as CSS relative colours."""
    return {
        weight: f"oklch(from {color} {lightness} calc(c * {chroma}) h)"
        for weight, (lightness, chroma) in WEIGHTS.items()
    }


def environment_label(stripe_key: str) -> list[str]:
    """Return the label of the header and its tone: it says whose money is moved."""
    if not stripe_key:
        return ["Stripe off", "info"]
    return ["Test mode", "warning"] if "_test_" in stripe_key else ["Live", "danger"]


def item(title: str, icon: str, view: str, permission: str = "") -> dict[str, Any]:
    entry: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{view}")}
    if permission:
        entry["permission"] = lambda request: request.user.has_perm(permission)
    return entry


def listing(title: str, icon: str, model: str) -> dict[str, Any]:
    """Return the entry of a model's list, such as `billing.invoice`."""
    app, name = model.split(".")
    return item(title, icon, f"{app}_{name}_changelist", f"{app}.view_{name}")


def group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


NAVIGATION = [
    {"title": "", "items": [item("Overview", "monitoring", "index")]},
    group(
        "Customers",
        listing("Customers", "apartment", "customers.customer"),
        listing("API keys", "key", "customers.apikey"),
    ),
    group(
        "Usage",
        item("Usage", "bar_chart", "usage", "metering.view_meter"),
        item("Events", "data_object", "events", "metering.view_event"),
        item("Events by day", "calendar_month", "daily", "metering.view_ingestbatch"),
        listing("Corrections", "edit_note", "metering.correction"),
        listing("Backfill sessions", "history", "metering.backfillsession"),
        listing("Meters", "speed", "metering.meter"),
        listing("Refused events", "block", "metering.refusedevent"),
        listing("Batches", "inbox", "metering.ingestbatch"),
        listing("Checks of roll-ups", "fact_check", "metering.usagecheck"),
        listing("Archived months", "archive", "metering.archivedmonth"),
        listing("Log imports", "description", "metering.logimport"),
        item("Try a log", "rule", "log_trial", "metering.view_logimport"),
    ),
    group(
        "Billing",
        listing("Plans", "sell", "billing.plan"),
        item("Compare plans", "compare_arrows", "plan_comparison", "billing.view_planversion"),
        item("Back-test", "science", "back_test", "billing.view_planversion"),
        listing("Subscriptions", "autorenew", "billing.subscription"),
        listing("Invoices", "receipt_long", "billing.invoice"),
        listing("Credit notes", "undo", "billing.creditnote"),
        listing("Payments", "payments", "billing.payment"),
        listing("Dunning", "notification_important", "billing.dunningcase"),
        listing("E-mails", "mail", "billing.email"),
        listing("Nightly runs", "nightlight", "billing.billingrun"),
    ),
    group(
        "Stripe",
        listing("Pushes", "cloud_upload", "billing.stripepush"),
        listing("Operations", "task_alt", "billing.stripeoperation"),
        listing("Reconciliations", "rule", "billing.stripereconciliation"),
        listing("Refunds and disputes", "undo", "billing.paymentreversal"),
        listing("Webhook events", "webhook", "billing.stripeevent"),
        listing("Stripe customers", "account_box", "billing.stripecustomer"),
        listing("Account health", "monitor_heart", "billing.stripequeue"),
    ),
    group(
        "System",
        listing("Users", "person", "customers.user"),
        listing("Groups", "group", "auth.group"),
        listing("Schedules", "schedule", "django_q.schedule"),
        listing("Queued tasks", "pending_actions", "django_q.ormq"),
        listing("Failed tasks", "error", "django_q.failure"),
        listing("Finished tasks", "task_alt", "django_q.success"),
        listing("Staff actions", "history", "admin.logentry"),
    ),
]


def theme(*, brand_name: str, brand_color: str, brand_logo: str, stripe_key: str) -> dict[str, Any]:
    """Return the settings of the admin's theme."""
    settings: dict[str, Any] = {
        "SITE_TITLE": brand_name,
        "SITE_HEADER": brand_name,
        "SITE_SUBHEADER": "Billing",
        "SITE_SYMBOL": "sailing",
        "SITE_URL": "/",
        "SITE_FAVICONS": [{"rel": "icon", "href": static_lazy("favicon.svg")}],
        "SHOW_BACK_BUTTON": False,
        "ENVIRONMENT": environment_label(stripe_key),
        "DASHBOARD_CALLBACK": "billing.admin.dashboard.add_overview",
        "COLORS": {"primary": palette(brand_color)},
        "STYLES": [static_lazy("admin-tallyport.css")],
        "COMMAND": {"search_callback": "billing.admin.search.find"},
        "SIDEBAR": {"show_search": True, "navigation": NAVIGATION},
    }
    if brand_logo:
        settings["SITE_ICON"] = brand_logo
    return settings
