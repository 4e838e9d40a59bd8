"""Whether this process was told to stop: then runs end at the next segment and are handed back."""

import threading

_draining = threading.Event()


def request_drain() -> None:
    """Take no new run, and hand the present one back at its next segment."""
    _draining.set()


def is_draining() -> bool:
    return _draining.is_set()


def wait_for_drain(seconds: float) -> bool:
    """Sleep, but wake when the process is told to stop. True when it was."""
    return _draining.wait(seconds)
