"""Django's settings, from the environment where machines differ. The names PG… are libpq's."""

from __future__ import annotations

import os

SECRET_KEY = os.environ.get(
    "SECRET_KEY", ""
)  # 50 random characters, the same for all workers; Django refuses none
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
ROOT_URLCONF = "apps.frameworks.django_notes.urls"
INSTALLED_APPS = ["apps.frameworks.django_notes"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536  # bytes of a form
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"  # Django sets the time of the whole process by it, so of the logs too
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("PGDATABASE", "notes"),
        "USER": os.environ.get("PGUSER", ""),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "HOST": os.environ.get("PGHOST", ""),
        "PORT": os.environ.get("PGPORT", ""),
        # A thousand requests at once share ten connections of each worker: PostgreSQL allows 100 by default. A
        # request waits for one for up to 10 s, as --queue-timeout has others wait for a slot. With CONN_MAX_AGE
        # instead of a pool each green thread would keep a connection of its own.
        "OPTIONS": {
            "pool": {"min_size": 0, "max_size": 10, "max_idle": 60, "timeout": 10},
            "connect_timeout": 5,
        },
        # After a restart of PostgreSQL each old connection costs one request. With CONN_HEALTH_CHECKS requests would
        # wait instead: the pool pauses behind each dead one (findings/psycopg-pool-check-pauses.sh).
    }
}

# Without it Django mails errors to ADMINS and tells nobody else.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
