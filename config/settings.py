"""One settings module, driven by environment variables named WAYBILL_… and listed in the README.

Nothing here differs between a laptop and many machines but the values.
"""

import base64
import os
import secrets
import shlex
import sqlite3
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import logs

Number = TypeVar("Number", int, float)
BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    """The value of WAYBILL_<name>, or what the file holds that WAYBILL_<name>_FILE names."""
    given = os.environ.get(f"WAYBILL_{name}")
    if given is None and (path := os.environ.get(f"WAYBILL_{name}_FILE")):
        given = Path(path).read_text().strip()
    return default if given is None else given


def env_number(name: str, default: Number) -> Number:
    """The number that WAYBILL_<name> gives, a whole one where the default is."""
    given = env(name)
    try:
        return type(default)(given) if given else default
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise ImproperlyConfigured(f"WAYBILL_{name} has to be {kind}, not “{given}”.") from None


def env_list(name: str) -> list[str]:
    return [part.strip() for part in env(name).split(",") if part.strip()]


# What this process writes, rows and files, is read by nobody else on the machine.
os.umask(0o077)
DATA_DIR = Path(env("DATA_DIR", str(BASE_DIR / "var"))).resolve()
try:
    # Rows, files and keys are nobody else's business.
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"WAYBILL_DATA_DIR={DATA_DIR} cannot be a folder: {error.strerror}.") from error


def kept_secret(name: str) -> str:
    """The given secret, or one made at first start and kept in DATA_DIR, readable by its owner only."""
    if given := env(name.upper()):
        return given
    path = DATA_DIR / f"{name}.key"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode())
    except FileExistsError:
        pass
    return path.read_text().strip()


def field_key(text: str) -> bytes:
    """Give the 32 bytes of one of FIELD_KEYS, written in base64."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ImproperlyConfigured("WAYBILL_FIELD_KEYS has to list keys of 32 bytes in base64, with commas between.")
    return key


# Both are comma-separated, newest first: the first one signs and wraps, all of them open.
SECRET_KEY, *SECRET_KEY_FALLBACKS = (key.strip() for key in kept_secret("secret_key").split(","))
FIELD_KEYS = [field_key(key) for key in kept_secret("field_keys").split(",")]

HOST = env("HOST", "127.0.0.1")
PORT = env_number("PORT", 8000)
PUBLIC_URL = env("PUBLIC_URL", f"http://{HOST}:{PORT}").rstrip("/")
DEBUG = False
ALLOWED_HOSTS = [
    urlsplit(PUBLIC_URL).hostname or "localhost",
    "localhost",
    "127.0.0.1",
    "[::1]",
    *env_list("ALLOWED_HOSTS"),
]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "django_crontab",
    "csp",
    "allauth",
    "allauth.account",
    "accounts",
    "integrations",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.PolicyMiddleware",
]

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
                "csp.context_processors.nonce",
                "integrations.web.navigation.navigation",
            ],
            "libraries": {"waybill": "integrations.web.tags"},
            "builtins": ["django.templatetags.static", "integrations.web.tags"],
        },
    }
]

# SQLite: see the README, “Where rows are kept”. WAL needs a version without the WAL-reset fault (3.51.3 and later).
SQLITE_JOURNAL = "WAL" if sqlite3.sqlite_version_info >= (3, 51, 3) else "TRUNCATE"
try:
    DATABASE = dj_database_url.parse(
        env("DATABASE_URL") or f"sqlite:///{quote(str(DATA_DIR / 'waybill.sqlite3'))}",
        conn_max_age=60,
        conn_health_checks=True,
    )
except ValueError:
    # Its own words would show the address, and with it a password.
    raise ImproperlyConfigured("WAYBILL_DATABASE_URL is no address such as postgresql://user@host/name.") from None
DATABASES = {"default": DATABASE}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": f"PRAGMA journal_mode={SQLITE_JOURNAL}; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;",
    }
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "waybill_cache"}}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "accounts.sign_in.Adapter"
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
# Cookies do not tell ports apart: two installations on one host would sign each other's people out.
COOKIE_NAME = ("__Host-" if SESSION_COOKIE_SECURE else "") + f"waybill-{urlsplit(PUBLIC_URL).port or 'web'}"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{COOKIE_NAME}-session", f"{COOKIE_NAME}-csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if SESSION_COOKIE_SECURE else 0
# Only a proxy named here may tell the visitor's address and that TLS ended there: `config.wsgi` asks who calls.
# SECURE_PROXY_SSL_HEADER would believe everybody.
TRUSTED_PROXIES = env_list("TRUSTED_PROXIES")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
USE_THOUSAND_SEPARATOR = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = Path(env("STATIC_ROOT", str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
# Only static files are written through a storage, and a web server of another user may serve them.
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Files that came in; a folder here, shared by all machines. Uploads are streamed to a temporary file beside it.
FILES_DIR = Path(env("FILES_DIR", str(DATA_DIR / "files")))
FILE_UPLOAD_HANDLERS = ["integrations.web.uploads.BoundedUploadHandler"]
FILE_UPLOAD_TEMP_DIR = str(DATA_DIR)
# A grid may have two thousand rows of a dozen cells; how much a form may hold together is bounded in bytes.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 25_000
# Django draws each control, option and attribute by a template; large pages of the editor took seconds that way.
FORM_RENDERER = "integrations.forms.rendering.Controls"
UPLOAD_LIMIT_BYTES = env_number("UPLOAD_LIMIT_BYTES", 1_048_576)
# Roots that folder sources and SQLite files may lie in; a root may be a single file, as the Demo company's is.
# Called with the first Owner: accounts lies below the room that makes the Demo company.
ON_FIRST_OWNER = "integrations.management.demo.create_demo"
DEMO_CRM = Path(env("DEMO_CRM", str(DATA_DIR / "demo_crm.db"))).resolve()
FOLDERS = [*([Path(folder).resolve() for folder in env_list("FOLDERS")] or [DATA_DIR / "folders"]), DEMO_CRM]
# Private networks that connections may reach. `make start` allows loopback; empty means none.
ALLOW_NETS = env_list("ALLOW_NETS")

BROKER_URL = env("BROKER_URL")
# The message is only a nudge: no result is kept, nothing is retried, the row of the run is the truth.
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Touches late acknowledgement only, which is not ours; unset, each loss of the broker brings a page of warning.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Redis and Valkey read these; RabbitMQ's client ignores them and has a connection timeout of its own.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_DEFAULT_QUEUE = "runs"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
WORKERS = env_number("WORKERS", 2)
# How long a worker that is told to stop waits for the end of its segment before it gives its run back as it is.
STOP_SECONDS = env_number("STOP_SECONDS", 5.0)
WEB_WORKERS = env_number("WEB_WORKERS", 1)
WEB_THREADS = env_number("WEB_THREADS", 8)
# How long a run stays with a worker that gives no sign of life. It beats five times in that while.
LEASE_SECONDS = env_number("LEASE_SECONDS", 15.0)

# Whoever shows this token may read /metrics/ from elsewhere; without it only this machine may.
METRICS_TOKEN = env("METRICS_TOKEN")

# The one list of periodic jobs, read by cron (`manage.py crontab add`) and by the built-in clock of `start`.
CRONJOBS = [
    ("* * * * *", "integrations.scheduling.clock.every_minute"),
    ("23 3 * * *", "integrations.runs.retention.delete_old_runs"),
]
CRONTAB_EXECUTABLE = "crontab"
# Cron gives its jobs no settings: this file of them is read before each.
if ENV_FILE := env("ENV_FILE"):
    CRONTAB_COMMAND_PREFIX = f"set -a; . {shlex.quote(ENV_FILE)}; set +a;"

EMAIL_URL = env("EMAIL_URL")
DEFAULT_FROM_EMAIL = env("EMAIL_FROM", "Waybill <waybill@localhost>")
if EMAIL_URL:
    _email = urlsplit(EMAIL_URL)
    EMAIL_HOST = _email.hostname or "localhost"
    EMAIL_PORT = _email.port or 25
    EMAIL_HOST_USER = _email.username or ""
    EMAIL_HOST_PASSWORD = _email.password or ""
    EMAIL_USE_TLS = _email.scheme == "smtp+tls"
    EMAIL_USE_SSL = _email.scheme == "smtps"
else:
    # Without a mail server, messages are written where the Owner finds them.
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = str(DATA_DIR / "mail")
EMAIL_TIMEOUT = 10

LOG_LEVEL = env("LOG_LEVEL", "INFO")
# "lines" for people, "json" for collectors: one object a line.
LOGGING = logs.configuration(LOG_LEVEL, as_json=env("LOG_FORMAT", "lines") == "json")
FAILPOINTS = env("FAILPOINTS")
