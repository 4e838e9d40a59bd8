"""Run `manage.py` for a check, with a data folder of its own: `python -m tests.project manage makemigrations --check`."""

import sys

from tests import environment  # noqa: F401  (before Django's settings are read)

import config  # noqa: F401  isort: skip  (a sound SQLite before Django imports one)

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    execute_from_command_line(["manage.py", *sys.argv[2:]])
