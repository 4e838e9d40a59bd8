"""The web server: granian, embedded, with our own log format."""

from django.conf import settings
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels


def serve() -> None:
    """Serve `config.wsgi` until told to stop."""
    Granian(
        "config.wsgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        workers=settings.WEB_WORKERS,
        # Every view is plain and synchronous: a thread each, and downloads are streamed. Under ASGI Django would read
        # a whole download into memory first.
        blocking_threads=settings.WEB_THREADS,
        log_level=LogLevels.error,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=2,
    ).serve()
