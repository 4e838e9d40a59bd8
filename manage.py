#!/usr/bin/env python
"""Django's command line; `manage.py start` runs the whole desk on one machine."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    import config  # noqa: F401  (puts a sound SQLite in place before Django imports one)

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Waybill cannot start: {error}")


if __name__ == "__main__":
    main()
