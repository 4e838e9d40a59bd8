"""The web server: granian, embedded, with our own log format."""

from django.conf import settings
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels


def serve() -> None:
    """Serve `config.asgi` until told to stop."""
    Granian(
        "config.asgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.ASGINL,
        workers=settings.WEB_WORKERS,
        log_level=LogLevels.warning,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=2,
    ).serve()
