"""All settings, read from environment variables (docs/settings.md lists them).

With no variable set this is a development server on the embedded PostgreSQL. A wrong value stops
the start with one sentence that says what to write instead.
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
from django.utils.csp import CSP

from config import combinations, database, environment
from config.email import mailer
from config.logging import logging_settings
from config.secret import development_secret_key
from config.theme import theme

# ModelAdmin[X] and QuerySet[X] are subscripted at import time.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = environment.path("TALLYPORT_DATA_DIR", BASE_DIR / ".data")
TESTING = "pytest" in sys.modules

DEBUG = environment.boolean("DEBUG", default=False)
PORT = environment.integer("PORT", 8000, minimum=1, maximum=65535)
BASE_URL = environment.web_address("BASE_URL", f"http://127.0.0.1:{PORT}")
# Without a public address this is somebody's own machine: a generated key will do.
IS_LOCAL = environment.is_loopback(BASE_URL)
ALLOWED_HOSTS = environment.items("ALLOWED_HOSTS") or environment.hosts_for(BASE_URL)
SECRET_KEY = environment.matching(
    "SECRET_KEY", r".{50,}", expected=f"at least 50 characters long; {combinations.MAKE_A_KEY}"
)
combinations.check_address(
    BASE_URL, debug=DEBUG, secret_key=SECRET_KEY, allowed_hosts=ALLOWED_HOSTS
)
SECRET_KEY = SECRET_KEY or development_secret_key(DATA_DIR)

CSRF_TRUSTED_ORIGINS = [BASE_URL]

IS_HTTPS = BASE_URL.startswith("https://")
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
SECURE_HSTS_PRELOAD = IS_HTTPS
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "config.apps.KernelConfig",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "config.apps.TallyportAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_q",
    "pgtrigger",
    "customers",
    "metering",
    "billing",
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "customers.api.idempotency.idempotency_middleware",
]

# Strict everywhere; config.admin loosens it for the theme's own pages.
SECURE_CSP: dict[str, list[str]] = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
}

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.branding.brand",
            ],
        },
    },
]

DATABASES = {"default": database.settings_for(environment.text("DATABASE_URL"), DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "customers.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "portal-home"
ACCOUNT_ADAPTER = "customers.accounts.ClosedSignupAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if IS_HTTPS else "http"

LANGUAGE_CODE = "en"
# Words are English; numbers, money and dates follow each customer's own locale.
LANGUAGES = [("en", "English")]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "config.static.PackedStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG or TESTING

MAILERS = {"default": mailer(environment.text("EMAIL_URL"))}
# What customers are told by e-mail. Nothing is, until there is a server to send it.
CUSTOMER_EMAILS = environment.choices(
    "CUSTOMER_EMAILS", ("issued", "reminder", "paid", "payment_failed", "credit_note")
)
if not environment.text("EMAIL_URL"):
    CUSTOMER_EMAILS = ()
DEFAULT_FROM_EMAIL = environment.email_address("DEFAULT_FROM_EMAIL", "billing@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

LOGGING = logging_settings(is_json=not IS_LOCAL)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["customers.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["customers.api.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["customers.api.throttling.KeyRateLimit"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.api.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["config.api.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.exception_handler",
    # What else than JSON an endpoint writes is its own matter; errors are JSON always.
    "URL_FORMAT_OVERRIDE": None,
    "PAGE_SIZE": 50,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "iso-8601",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tallyport API",
    "DESCRIPTION": "Report usage, read it back, and manage customers, plans and invoices.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # Fields of one name that take different values.
    "ENUM_NAME_OVERRIDES": {
        "InvoiceStatusEnum": "billing.models.Invoice.Status",
        "ChargeStatusEnum": "billing.models.OneOffCharge.Status",
        "LineKindEnum": "billing.models.InvoiceLine.Kind",
        "CreditNoteReasonEnum": "billing.models.CreditNote.Reason",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "customers.api.schema.add_idempotency_key",
    ],
}

Q_CLUSTER = {
    "name": "tallyport",
    "orm": "default",
    "workers": 2,
    "timeout": 3600,
    # A failed task, and one whose worker was killed, is tried again after this many seconds.
    "retry": 3700,
    "max_attempts": 3,
    "poll": 1,
    "bulk": 1,
    "catch_up": False,
    "label": "Background tasks",
}

INGEST_MAX_AGE_DAYS = environment.integer("INGEST_MAX_AGE_DAYS", 35, minimum=1, maximum=3650)

STRIPE_SECRET_KEY = environment.matching(
    "STRIPE_SECRET_KEY",
    r"(sk|rk)_(test|live)_\w+",
    expected="a secret or restricted key of Stripe, which starts with sk_ or rk_",
)
STRIPE_WEBHOOK_SECRETS = environment.matching_items(
    "STRIPE_WEBHOOK_SECRET",
    r"whsec_\S+",
    expected="one signing secret that starts with whsec_, or several with commas between them",
)
STRIPE_API_BASE = environment.web_address("STRIPE_API_BASE", combinations.STRIPE_API)
combinations.check_stripe(STRIPE_API_BASE, secret_key=STRIPE_SECRET_KEY)
# Where the payment method is kept: a form of the portal leads there.
SECURE_CSP["form-action"].append(
    "https://billing.stripe.com" if STRIPE_API_BASE == combinations.STRIPE_API else STRIPE_API_BASE
)
# What was issued before was billed in another way; it is never pushed by itself.
STRIPE_PUSH_SINCE = environment.instant("STRIPE_PUSH_SINCE")
# Of all processes together; 0 is what suits the mode: 10 live, 5 in test mode.
STRIPE_REQUESTS_PER_SECOND = environment.integer(
    "STRIPE_REQUESTS_PER_SECOND", 0, minimum=0, maximum=500
)
# Where invoices are paid out in another currency, the least that Stripe collects is not the usual.
STRIPE_MINIMUM_AMOUNTS = environment.amounts_by_currency("STRIPE_MINIMUM_AMOUNTS")
# Names this installation at Stripe (docs/stripe.md). On somebody's own machine a new data
# directory is a new installation, whose invoice 1 is not the invoice 1 of the one before.
STRIPE_ENVIRONMENT = environment.matching(
    "STRIPE_ENVIRONMENT",
    r"[\w.-]{1,80}",
    expected="up to 80 letters, digits, dots, hyphens and underscores",
) or environment.installation_name(BASE_URL, secret_key=SECRET_KEY)

INVOICE_PREFIX = environment.number_prefix("INVOICE_PREFIX", "INV-")
CREDIT_NOTE_PREFIX = environment.number_prefix("CREDIT_NOTE_PREFIX", "CN-")
# What becomes of an invoice whose lines are all zero: "skip" or "issue".
ZERO_INVOICES = environment.choice("ZERO_INVOICES", "skip", ("skip", "issue"))
# Late usage is billed or credited from this difference on, in the currency of its invoice, and for
# periods that ended within so many months.
ADJUSTMENT_MINIMUM = environment.amount("ADJUSTMENT_MINIMUM", "0")
# Customers that a nightly run bills in one transaction: the more, the fewer queries, and the longer
# those who change one of them wait.
NIGHTLY_BATCH = environment.integer("NIGHTLY_BATCH", 500, minimum=1, maximum=5000)
# Processes that share the customers of a nightly run: the one that runs it, and workers.
NIGHTLY_WORKERS = environment.integer("NIGHTLY_WORKERS", 2, minimum=1, maximum=64)
# On which days around their due date customers are reminded of invoices, and after how many days
# overdue they are flagged and their API keys suspended.
DUNNING_REMINDERS = environment.whole_numbers(
    "DUNNING_REMINDERS", (-3, 1, 7, 14), minimum=-90, maximum=365
)
DUNNING_FLAG_DAYS = environment.integer_or_nothing("DUNNING_FLAG_DAYS", 30, minimum=1, maximum=3650)
DUNNING_SUSPEND_DAYS = environment.integer_or_nothing(
    "DUNNING_SUSPEND_DAYS", None, minimum=1, maximum=3650
)
ADJUSTMENT_MONTHS = environment.integer("ADJUSTMENT_MONTHS", 13, minimum=0, maximum=120)

BRAND_NAME = environment.text("BRAND_NAME", "Tallyport")
# Who sells, as documents say it: the registered name if it is not the brand's, address, tax id.
SELLER_NAME = environment.text("SELLER_NAME")
SELLER_ADDRESS = environment.lines("SELLER_ADDRESS")
SELLER_TAX_ID = environment.text("SELLER_TAX_ID")
BRAND_COLOR = environment.color("BRAND_COLOR", "#0f766e")
BRAND_LOGO = environment.image_address("BRAND_LOGO")
if BRAND_LOGO:
    SECURE_CSP["img-src"].append(f"https://{urlsplit(BRAND_LOGO).netloc}")

UNFOLD = theme(
    brand_name=BRAND_NAME,
    brand_color=BRAND_COLOR,
    brand_logo=BRAND_LOGO,
    stripe_key=STRIPE_SECRET_KEY,
)

# The editor of plans sends an input for each value of each tier.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

SENTRY_DSN = environment.error_tracker("SENTRY_DSN")

SILENCED_SYSTEM_CHECKS: list[str] = []
