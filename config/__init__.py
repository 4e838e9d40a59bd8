"""Composition root: the only place that knows both apps. No logic.

The SQLite that ships with Python may carry the WAL-reset fault (before 3.51.3); the wheel's newer one takes its
place here, before anything imports it.
"""

import sqlite3
import sys

if sqlite3.sqlite_version_info < (3, 51, 3):
    try:
        import pysqlite3
    except ImportError:
        pass  # No wheel for this platform: settings choose the rollback journal, and /health/ says so.
    else:
        sys.modules["sqlite3"] = pysqlite3
        sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

from config.celery import app as celery_app

__all__ = ["celery_app"]
