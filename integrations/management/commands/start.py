"""Run Waybill on one machine: broker, workers, clock and web under one supervisor."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from accounts.first_visit import ensure_owner, owner_link
from accounts.witness import foreign_key
from integrations.management.supervision import (
    CannotStart,
    broker_socket,
    configuration,
    environment_of_parts,
    hold,
    parts,
    see_that_port_is_free,
)

SUPERVISOR = Path(__file__).parents[1] / "supervisord.py"
LOOPBACK = "127.0.0.0/8,::1/128"


class Command(BaseCommand):
    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._start()
        except KeyboardInterrupt:
            self._say("Stopped before anything was started.")
            sys.exit(130)

    def _start(self) -> None:
        try:
            lock = hold(settings.DATA_DIR)
            see_that_port_is_free(settings.HOST, settings.PORT)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        self._say("Preparing the database and the static files…")
        try:
            call_command("migrate", verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database cannot be prepared: {str(error).strip()}") from error
        call_command("collectstatic", interactive=False, verbosity=0)
        if fault := foreign_key():
            raise CommandError(fault)
        self._welcome()
        connection.close()
        self._supervise(lock)

    def _welcome(self) -> None:
        email, password = (os.environ.get(f"WAYBILL_OWNER_{name}", "") for name in ("EMAIL", "PASSWORD"))
        if email and password:
            try:
                owner = ensure_owner(email, password)
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from None
            if owner is not None:
                self._say(f"{owner.email} is the Owner of this installation.")
        link = owner_link()
        self._say(f"Waybill comes up at {settings.PUBLIC_URL}/ (Ctrl-C stops it).")
        if link:
            self._say(f"First visit: open {settings.PUBLIC_URL}{link} to become the Owner. The link works once.")

    def _supervise(self, lock: int) -> None:
        """Become supervisord: one process less, and the lock stays with it."""
        folder = settings.DATA_DIR / "run"
        environment = environment_of_parts(os.environ, folder)
        socket = None
        if not settings.BROKER_URL:
            socket = broker_socket(settings.DATA_DIR)
            environment["WAYBILL_BROKER_URL"] = f"redis+socket://{socket}"
            environment["WAYBILL_BROKER_SOCKET"] = str(socket)
        environment.setdefault("WAYBILL_ALLOW_NETS", LOOPBACK)
        environment["WAYBILL_DATA_DIR"] = str(settings.DATA_DIR)
        environment["PYTHONUNBUFFERED"] = "1"
        listed = parts(workers=settings.WORKERS, stop_seconds=settings.STOP_SECONDS, broker_socket=socket)
        file = folder / "supervisord.conf"
        file.write_text(configuration(listed))
        self.stdout.flush()
        os.execve(sys.executable, [sys.executable, str(SUPERVISOR), "-c", str(file)], environment)

    def _say(self, words: str) -> None:
        self.stdout.write(f"{'waybill':<9}| {words}")
        self.stdout.flush()
