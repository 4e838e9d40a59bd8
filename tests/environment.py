"""The environment of the tests, set before Django's settings are read (`-p tests.environment`)."""

import os
import tempfile

os.environ.setdefault("WAYBILL_DATA_DIR", tempfile.mkdtemp(prefix="waybill-tests-"))
os.environ.setdefault("WAYBILL_BROKER_URL", "memory://")
os.environ.setdefault("WAYBILL_ALLOW_NETS", "127.0.0.0/8,::1/128")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
