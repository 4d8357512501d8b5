"""Django settings. Everything that an operator can choose comes from `portal.environment`."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from portal import command_line, logs
from portal.database.url import SQLITE, read_database_url
from portal.environment import BASE_DIR, NEW_KEY_MARK, BadEnvironment, read_environment
from portal.setting_values import usable_secret_key

ENVIRONMENT = read_environment(make_data_dir=command_line.is_serving())
DATA_DIR = ENVIRONMENT.data_dir
STORE_DIR = DATA_DIR / "store"


def _secret_key() -> str:
    """Return the configured key, or the one in the data folder, created at the first start with mode 0600.

    Only the server creates it: another command may run as another user, or in the wrong folder.
    """
    if ENVIRONMENT.secret_key:
        return ENVIRONMENT.secret_key
    path = DATA_DIR / "secret_key"
    if not path.exists():
        if not command_line.is_serving():
            return secrets.token_urlsafe(64)
        _make_key(path)
    try:
        return usable_secret_key(path.read_text(encoding="utf-8").strip())
    except ValueError as fault:
        raise BadEnvironment(
            f"  {path} holds no usable key: {fault}. Restore it from a backup, or remove the file: a new key is "
            "created, and all users have to sign in again."
        ) from fault


def _make_key(path: Path) -> None:
    """Create the file atomically; two starts at the same time end with the same key."""
    descriptor, name = tempfile.mkstemp(prefix=".secret_key-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            # The start that creates the database removes the mark: from then on a key proves that there was one.
            file.write(f"{secrets.token_urlsafe(64)}{NEW_KEY_MARK}")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            pass  # another start was faster
        except OSError:
            Path(name).replace(path)  # a file system without links
    finally:
        Path(name).unlink(missing_ok=True)


def _database() -> dict[str, Any]:
    """Return SQLite in WAL mode with full sync (a commit survives a power cut), or the database of DATABASE_URL."""
    if ENVIRONMENT.database_url:
        database = read_database_url(ENVIRONMENT.database_url)
    else:
        # Not as a URL, in which `#`, `?` and `%` of a folder's name would have a meaning.
        database = {"ENGINE": SQLITE, "NAME": str(DATA_DIR / "portal.sqlite3")}
    database["CONN_MAX_AGE"] = None
    if database["ENGINE"] == SQLITE:
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
    else:
        # A dead server is detected, also while the portal waits for its reply.
        for name, value in (
            ("connect_timeout", 5),
            ("keepalives_idle", 10),
            ("keepalives_interval", 5),
            ("keepalives_count", 3),
            ("tcp_user_timeout", 20_000),
        ):
            database.setdefault("OPTIONS", {}).setdefault(name, value)
    return database


SECRET_KEY = _secret_key()
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)

INSTALLED_APPS = [
    "portal",
    "codes",
    "feeds",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "simple_history",
]

MIDDLEWARE = [
    "portal.middleware.RequestContextMiddleware",
    "portal.rest.cors.CorsMiddleware",
    "portal.rest.tables.TableMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.access.sign_in.HeaderSignOnMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "codes.pages.not_loaded.CatalogueMiddleware",
    "feeds.admin.proposals.ProposalMiddleware",
]

LOGGING = logs.LOGGING

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = None
DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
            ],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["portal.access.sign_in.PasswordBackend"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "portal.formats"  # ISO 8601 everywhere, whatever the language

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "staticfiles"  # never from the environment, because the folder is cleared
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# In the form that Django 6 reads itself, so that the upgrade makes our middleware unnecessary.
SECURE_CSP = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
# A feed's admin form with the maximum of 1,000 rules has seven fields for each.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 8000
# The edge has already buffered the body; a copy in the temporary folder would fail where that is full.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024

SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "portal.rest.problems.form_not_ours"
_https = ENVIRONMENT.public_url.startswith("https:")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_url] if ENVIRONMENT.public_url else []
# The proxy redirects from http to https: a redirect on a wire path would lose deliveries.
SILENCED_SYSTEM_CHECKS = ["security.W008"]

SIMPLE_HISTORY_HISTORY_CHANGE_REASON_USE_TEXT_FIELD = True

REST_FRAMEWORK: dict[str, Any] = {
    # The token first: its challenge makes "not authenticated" a 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.access.tokens.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    # Deny by default: a view without a queryset that names no permissions raises an error.
    "DEFAULT_PERMISSION_CLASSES": ["portal.access.tokens.HasScope", "portal.access.tokens.ModelPermissions"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.rest.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "portal.rest.schema.PortalSchema",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_THROTTLE_CLASSES": ["portal.rest.throttling.TokenThrottle"],
    "EXCEPTION_HANDLER": "portal.rest.problems.problem_handler",
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Stroom portal",
    "DESCRIPTION": (
        "Status codes of HTTP and Stroom, open to all; feeds, receipts and refusals for authorised users. "
        "Errors are problem details (RFC 9457) whose `type` is the page of the status code. Unknown parameters "
        "and keys are rejected by name."
    ),
    "VERSION": "",  # taken from the change log when the description is made
    "LICENSE": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RetryVerdict": "codes.api.words.retry_verdicts",
        "FeedStatus": "feeds.models.Feed.Status",
        "CertificatePolicy": "feeds.models.Feed.Policy",
        "RuleAction": "feeds.models.CertificateRule.Action",
        "ReceiptStatus": "feeds.models.Receipt.Status",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.rest.schema.describe_errors",
        "portal.rest.description.finish",
    ],
}
