"""The wait of a run before it sends again what was not taken for a reason that passes (spec 10, Options)."""

import time
from datetime import timedelta

from django.utils import timezone

from integrations.engine.plan import Options
from integrations.runs.journal import RunJournal

LOOK_UP_SECONDS = 0.5


class Retries:
    """Waits as the options of a process say, where the Run Summary shows it, and ends early when the run should."""

    def __init__(self, options: Options, journal: RunJournal) -> None:
        self._options = options
        self._journal = journal

    def wait(self, records: int, retry: int) -> bool:
        """Wait before the retry of that number of records. False when the run should end instead."""
        at = timezone.localtime() + timedelta(seconds=self._options.retry_seconds)
        what = "1 record was" if records == 1 else f"{records:,} records were"
        self._journal.log(
            "warning",
            f"{what} not taken for now. Retry {retry} of {self._options.retry_times} is at {at:%H:%M:%S}.",
            stage="deliver",
        )
        return self.pause()

    def pause(self) -> bool:
        """Wait as long as the options say. False when the run should end instead."""
        self._journal.waiting(True)
        try:
            return self._waited(time.monotonic() + self._options.retry_seconds)
        finally:
            self._journal.waiting(False)

    def _waited(self, until: float) -> bool:
        while not self.is_over():
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, LOOK_UP_SECONDS))
        return False

    def is_over(self) -> bool:
        return self._journal.told_to_stop() is not None or bool(self._journal.overdue())
