"""The environment of the tests, set before Django's settings are read (`-p tests.environment`).

Every process has a data folder of its own. With WAYBILL_TEST_DATABASE=postgres the rows are kept by a PostgreSQL that
is started here, once for all processes of a test run.
"""

import atexit
import os
import shutil
import tempfile

DATA_DIR = tempfile.mkdtemp(prefix="waybill-tests-")
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
os.environ["WAYBILL_DATA_DIR"] = DATA_DIR
os.environ.setdefault("WAYBILL_BROKER_URL", "memory://")
os.environ.setdefault("WAYBILL_ALLOW_NETS", "127.0.0.0/8,::1/128")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

if os.environ.get("WAYBILL_TEST_DATABASE") == "postgres" and "WAYBILL_DATABASE_URL" not in os.environ:
    from tests.servers import Postgres

    server = Postgres()
    atexit.register(server.stop)
    os.environ["WAYBILL_DATABASE_URL"] = server.url
