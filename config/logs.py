"""How every part logs: a readable line under its name on a terminal's desk, JSON where a collector reads it."""

import os
from typing import Any

import structlog

from integrations.engine.secret import IN_LOGS

PROCESSORS = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configuration(level: str, *, as_json: bool) -> dict[str, Any]:
    """Give the dictConfig of all parts. Values bound with structlog (run, company) appear in every line."""
    renderer: Any = structlog.processors.JSONRenderer() if as_json else Lines(os.environ.get("WAYBILL_PART", "waybill"))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "lines": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": PROCESSORS,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    without_secrets,
                    renderer,
                ],
            }
        },
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["out"], "level": level},
        "loggers": {
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            # What went wrong with a server is told on the run, in words; this would be a trace of every broken line.
            "paramiko": {"level": "CRITICAL"},
            # Its one warning finds that there are more threads than cores; they are for waiting.
            "_granian": {"handlers": ["out"], "level": "ERROR", "propagate": False},
            "granian.access": {"handlers": ["out"], "level": "INFO", "propagate": False},
            # A page that is not found or not allowed is no fault of the server.
            "django.request": {"level": "ERROR"},
        },
    }


def without_secrets(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Take the secrets of the run under way out of a line, and out of the fault that it tells."""
    redact = IN_LOGS.get()
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}


class Lines:
    """Renders `worker-1 | 12:30:05 warning  sentence  run=12`, and every further line under the same prefix."""

    def __init__(self, part: str) -> None:
        self._prefix = f"{part:<9}| "

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> str:
        moment = str(event.pop("timestamp", ""))[11:19]
        level, sentence = event.pop("level", ""), event.pop("event", "")
        fault = event.pop("exception", "")
        event.pop("logger", None)
        facts = "".join(f"  {name}={value}" for name, value in event.items())
        said = f"{moment} {level:<8} {sentence}{facts}\n{fault}"
        return "\n".join(self._prefix + line for line in said.splitlines() if line.strip())
