"""API keys: what there is, a new one, and the end of one."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from billing.portal.access import CustomerRequest, customer_page, customer_render
from billing.portal.forms import SCOPE_WORDS, KeyForm
from billing.portal.views.invoices import overdue_rows
from config.errors import DomainError, InvalidInputError
from customers.models import ApiKey
from customers.services import IssuedKey, create_api_key, revoke_api_key

KEYS_PER_PAGE = 50
# The session remembers this many submitted forms, to know a reloaded one.
REMEMBERED_FORMS = 20
SPENT_FORMS = "spent_key_forms"
FORM_FIELDS = {"expires_at": "expires_on"}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the list shows it."""

    key: ApiKey
    status: str
    scopes: list[str]


@require_safe
@customer_page
def key_list(request: CustomerRequest) -> HttpResponse:
    at = timezone.now()
    keys = ApiKey.objects.filter(customer=request.customer).select_related("created_by")
    page = Paginator(keys, KEYS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [key_row(key, at) for key in page]
    overdue = overdue_rows(request.customer, at) if request.customer.suspended_at else []
    context = {"page": page, "rows": rows, "overdue": overdue}
    return customer_render(request, "portal/keys.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@customer_page
def key_create(request: CustomerRequest) -> HttpResponse:
    """Make a key and show its secret in the answer itself, the only place it ever appears."""
    zone = request.customer.zone
    if request.method != "POST":
        return customer_render(request, "portal/key_create.html", {"form": KeyForm(zone=zone)})
    form = KeyForm(request.POST, zone=zone)
    if form.is_valid():
        if is_spent(request, form):
            messages.info(request, "That key was made before. Its secret is not shown again.")
            return redirect("portal-keys", customer_key=request.customer.key)
        issued = issue_key(request, form)
        if issued is not None:
            return customer_render(request, "portal/key_secret.html", {"issued": issued})
    return customer_render(request, "portal/key_create.html", {"form": form}, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@customer_page
def key_revoke(request: CustomerRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, customer=request.customer, pk=key_id)
    if request.method != "POST":
        row = key_row(key, timezone.now())
        return customer_render(request, "portal/key_revoke.html", {"row": row})
    try:
        revoke_api_key(api_key=key, at=timezone.now())
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"The key “{key.name}” is revoked and no longer works.")
    return redirect("portal-keys", customer_key=request.customer.key)


def key_row(key: ApiKey, at: datetime) -> KeyRow:
    status = "active"
    if key.revoked_at is not None:
        status = "revoked"
    elif key.suspended_at is not None:
        status = "suspended"
    elif not key.is_usable(at):
        status = "expired"
    return KeyRow(
        key=key,
        status=status,
        scopes=[words for scope, words in SCOPE_WORDS.items() if scope in key.scopes],
    )


def issue_key(request: CustomerRequest, form: KeyForm) -> IssuedKey | None:
    """Make the key that a valid form describes; put what is wrong with it onto the form."""
    try:
        issued = create_api_key(
            customer=request.customer,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=form.expires_at(),
            created_by=request.user,
            at=timezone.now(),
        )
    except InvalidInputError as error:
        form.add_error(FORM_FIELDS.get(error.field, error.field or None), error.message)
        return None
    remember_form(request, form)
    return issued


def is_spent(request: CustomerRequest, form: KeyForm) -> bool:
    return str(form.cleaned_data["form_id"]) in request.session.get(SPENT_FORMS, [])


def remember_form(request: CustomerRequest, form: KeyForm) -> None:
    spent = [*request.session.get(SPENT_FORMS, []), str(form.cleaned_data["form_id"])]
    request.session[SPENT_FORMS] = spent[-REMEMBERED_FORMS:]
