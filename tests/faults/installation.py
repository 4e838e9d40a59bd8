"""A whole installation for one test module: a database, a broker, workers that are real processes and may be killed."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from tests.servers import Valkey

LEASE_SECONDS = 1.5
PATIENCE_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """One worker process with everything it started."""

    def __init__(self, environment: dict[str, str], name: str, output: Path) -> None:
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "part", "worker", name],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> float:
        """Ask it to end, as a supervisor does; give the seconds it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(15)
        return time.monotonic() - began


class Installation:
    """Commands go to a driver process inside it; `environment` is what its workers get."""

    def __init__(self, folder: Path, broker: Valkey, *, database_url: str = "") -> None:
        self.folder = folder
        self.broker = broker
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")},
            "WAYBILL_DATA_DIR": str(folder / "data"),
            "WAYBILL_FOLDERS": str(folder),
            "WAYBILL_BROKER_URL": broker.url,
            "WAYBILL_LEASE_SECONDS": str(LEASE_SECONDS),
            "WAYBILL_ALLOW_NETS": "127.0.0.0/8",
            "WAYBILL_DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
        }
        self.workers: list[Worker] = []
        self._made = 0
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            cwd=ROOT,
            # Its output is its answers: what it logs would stand among them.
            env={**self.environment, "WAYBILL_LOG_LEVEL": "CRITICAL"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        assert self._driver.stdin is not None and self._driver.stdout is not None
        self._driver.stdin.close()
        self._driver.wait(10)
        self._driver.stdout.close()

    def __getattr__(self, command: str) -> Callable[..., Any]:
        """`installation.request(name=…)` is a command of the driver (see `tests.faults.driver`)."""
        return lambda **given: self._ask(command, given)

    def worker(self, *, failpoints: str = "", **settings: str) -> Worker:
        self._made += 1
        given = {f"WAYBILL_{name}": value for name, value in {"FAILPOINTS": failpoints, **settings}.items()}
        worker = Worker({**self.environment, **given}, str(self._made), self.folder / f"worker-{self._made}.log")
        self.workers.append(worker)
        return worker

    def wait(self, number: int, *, until: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Look at a run until something is so; fails with where it stands."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            seen: dict[str, Any] = self.state(number=number)
            if until(seen):
                return seen
            assert time.monotonic() < give_up, (
                f"run {number} did not {what}: {seen}, {self.log(number=number)}\n{self._last_words()}"
            )
            time.sleep(0.03)

    def _last_words(self) -> str:
        return "\n".join(
            f"worker {worker.pid}, ended: {worker.process.poll()}\n{worker.output.read_text()[-3000:]}"
            for worker in self.workers[-3:]
        )

    def ended(self, number: int) -> dict[str, Any]:
        return self.wait(number, until=lambda seen: seen["status"] not in ("queued", "in_progress"), what="end")

    def claimed(self, number: int) -> dict[str, Any]:
        return self.wait(number, until=lambda seen: bool(seen["owner"]) or seen["segments"] > 0, what="start")

    def holder(self, seen: dict[str, Any]) -> Worker | None:
        """The worker that holds a run, by the process id in the lease."""
        pid = int(seen["owner"].rsplit(":", 1)[-1] or 0) if seen["owner"] else 0
        return next((worker for worker in self.workers if worker.pid == pid and worker.process.poll() is None), None)

    def rows(self, name: str) -> dict[str, Any]:
        """What the destination holds: every record by its number, with how often it is there."""
        with closing(sqlite3.connect(self.folder / f"{name}.db")) as database:
            found = database.execute("SELECT number, name, length FROM customers ORDER BY number").fetchall()
        return {"records": found, "times": Counter(number for number, _, _ in found)}

    def files(self, name: str) -> dict[str, list[str]]:
        """What lies in the folder of a process that writes files: the numbers in each file, in their order."""
        found = {}
        for path in sorted((self.folder / name).iterdir()):
            with path.open(newline="") as file:
                found[path.name] = [row["number"] for row in csv.DictReader(file)]
        return found

    def _ask(self, command: str, given: dict[str, Any]) -> Any:
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps([command, given]) + "\n")
        self._driver.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        assert line, "the driver ended: its own output says why"
        return json.loads(line)
