"""What each attack of a script costs: `python -m tests.faults.hostile_scripts`.

Prints, for every attack of `tests.scripting.test_hostile`, how long its document took beyond the limit and the most
memory its child held, and how fast a neighbour's scripts ran meanwhile, as a share of their speed alone.
"""

import sys
import threading
import time
from pathlib import Path

from integrations.engine.ports import Fault
from integrations.scripting import Limits, open_scripts
from integrations.scripting.sandbox import Sandbox
from tests.scripting.making import COLUMNS, plan_of
from tests.scripting.test_hostile import HOSTILE

LIMITS = Limits()
OVERRUN_SECONDS = 0.5
MEMORY_MB = 128
NEIGHBOUR = 0.45
ALONE_SECONDS = 3.0


class Neighbour:
    """Another run's scripts, in a child of their own: counts the documents they answer."""

    def __init__(self) -> None:
        self._scripts = open_scripts(plan_of("return this._Name.length;"), COLUMNS)
        self._over = threading.Event()
        self.answered = 0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.is_set():
            self.answered += len(list(self._scripts.evaluate([[[["1", "Acme", ""]]]] * 200)))

    def rate(self, seconds: float) -> float:
        before = self.answered
        time.sleep(seconds)
        return (self.answered - before) / seconds

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._scripts.close()


def main() -> None:
    neighbour = Neighbour()
    alone = neighbour.rate(ALONE_SECONDS)
    answered, began = neighbour.answered, time.monotonic()
    passed = [report(name, attack) for name, attack in HOSTILE.items()]
    share = (neighbour.answered - answered) / (time.monotonic() - began) / alone
    neighbour.end()
    say(f"the neighbour ran at {share:.0%} of its speed alone ({NEIGHBOUR:.0%} are asked for)")
    say(f"{sum(passed)} of {len(passed)} attacks ended in time and memory")
    sys.exit(0 if all(passed) and share >= NEIGHBOUR else 1)


def report(name: str, attack: str) -> bool:
    scripts = open_scripts(plan_of(f"{attack}\nreturn 1;"), COLUMNS, limits=LIMITS)
    assert isinstance(scripts, Sandbox)
    watched = Watched(scripts._child._process.pid)
    began = time.monotonic()
    (answer,) = scripts.evaluate([[[["1", "", ""]]]])
    over = time.monotonic() - began - LIMITS.seconds
    most = watched.end()
    scripts.close()
    well = over <= OVERRUN_SECONDS and most <= MEMORY_MB
    ended = "fault" if isinstance(answer, Fault) else "answer"
    say(f"{'ok ' if well else 'NOT'}  {max(over, 0):5.2f} s over  {most:6.1f} MB  {ended:<6}  {name}")
    return well


class Watched:
    """The most memory that a process held, read while it lives."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._most = 0.0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        over = False
        while not over:
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            held = [line for line in lines if line.startswith("VmHWM:")]
            self._most = max([self._most, *(int(line.split()[1]) / 1024 for line in held)])
            over = self._over.wait(0.005)

    def end(self) -> float:
        self._over.set()
        self._thread.join()
        return self._most


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
