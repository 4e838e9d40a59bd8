"""One part of the installation in this process: `web`, `worker [number]`, `clock` or the embedded `broker`."""

import os
import warnings
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from accounts.witness import foreign_key
from integrations.management.supervision import broker_command, die_with_parent


def see_that_keys_are_ours() -> None:
    """Refuse to work with another machine's rows under a key that opens none of them."""
    try:
        fault = foreign_key()
    except DatabaseError:
        return  # It is away: /health/ says so, and every part waits for it.
    finally:
        connection.close()
    if fault:
        raise CommandError(fault)


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []  # noqa: RUF012  (as Django declares it; `start` has checked)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("part", choices=["web", "worker", "clock", "broker"])
        parser.add_argument("number", nargs="?", default="1")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("WAYBILL_PART"):
            # Under our own supervisor nothing may outlive it; elsewhere another one looks after us.
            die_with_parent()
        part = options["part"]
        if part != "broker":
            see_that_keys_are_ours()
        if part == "broker":
            command = broker_command(Path(os.environ["WAYBILL_BROKER_SOCKET"]))
            os.execv(command[0], command)
        elif part == "web":
            from integrations.management.web_server import serve

            serve()
        elif part == "worker":
            from celery import current_app
            from celery.apps import worker as celerys_worker
            from celery.platforms import SecurityWarning

            # Whether to run as root is its administrator's choice; a warning of many lines at every start is none.
            warnings.filterwarnings("ignore", category=SecurityWarning)
            # It speaks past the log, without our prefix; the lookout says that the worker stops.
            celerys_worker.safe_say = lambda *words: None
            options_of_celery = [
                "--pool=solo",
                "--concurrency=1",
                "--loglevel=INFO",
                f"--hostname=worker-{options['number']}@%h",
            ]
            apart = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            current_app.worker_main(["--quiet", "worker", *options_of_celery, *apart])
        else:
            from integrations.scheduling.clock import run

            run()
