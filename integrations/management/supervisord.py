"""supervisord as `start` runs it: it speaks under our prefix, and a closed terminal ends it."""

import signal
import sys

from supervisor.options import ServerOptions
from supervisor.supervisord import go


class Options(ServerOptions):
    def make_logger(self) -> None:
        super().make_logger()
        for handler in self.logger.handlers:
            handler.setFormat("waybill  | %(message)s\n")

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
