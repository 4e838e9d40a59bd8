"""supervisord as `start` runs it: parts and supervisor speak through one output, and a closed terminal ends them."""

import signal
import sys
from typing import Any

from supervisor.loggers import StreamHandler
from supervisor.options import ServerOptions
from supervisor.supervisord import go


class Output(StreamHandler):
    """What we were given to write to. Opened anew under a name it might be a socket, or another user's file."""

    def __init__(self, words: str) -> None:
        super().__init__(sys.stdout.buffer)
        self.setFormat(words)

    def handleError(self) -> None:
        """Go on: whoever read our output has left, and nobody else can be told."""


class Options(ServerOptions):
    def make_logger(self) -> None:
        super().make_logger()
        self.logger.handlers = [Output("waybill  | %(message)s\n")]

    def getLogger(self, *args: Any, **kwargs: Any) -> Any:
        """Give the log of a part's output."""
        logger = super().getLogger(*args, **kwargs)
        logger.addHandler(Output("%(message)s"))
        return logger

    def get_signal(self) -> int | None:
        """Take a terminal that is closed (SIGHUP) for an end; to supervisord it means to start everything anew."""
        number: int | None = super().get_signal()
        return signal.SIGTERM if number == signal.SIGHUP else number


def main() -> None:
    options = Options()
    options.realize(sys.argv[1:])
    options.first = True
    options.test = False
    go(options)


if __name__ == "__main__":
    main()
