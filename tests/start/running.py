"""`manage.py start` as a person runs it: a real process in a data folder of its own, seen from outside."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from tests.processes import all_processes, children, descendants, read
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
OWNER = "ada@harwood.test"
PASSWORD = "Correct-Horse-9!battery"
PATIENCE_SECONDS = 60.0


class Start:
    """One `start`. `settings` are WAYBILL_… names without their prefix; output is kept in `folder`/output."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = int(settings.get("PORT", "0")) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        given = {"DATA_DIR": str(self.data), "OWNER_EMAIL": OWNER, "OWNER_PASSWORD": PASSWORD} | settings
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")},
            **{f"WAYBILL_{name}": value for name, value in given.items()},
            "WAYBILL_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.well()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def start(
        self, command: Sequence[str] = (sys.executable, "manage.py", "start"), *, into_a_socket: bool = False
    ) -> None:
        """Start it in a process group of its own, as a terminal does; or with a socket for output, as systemd does."""
        with self._socket() if into_a_socket else (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _socket(self) -> socket.socket:
        ours, theirs = socket.socketpair()

        def write_down() -> None:
            with ours, (self.folder / "output").open("wb", buffering=0) as output:
                while said := ours.recv(4096):
                    output.write(said)

        threading.Thread(target=write_down, daemon=True).start()
        return theirs

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask the process group to end, as Ctrl-C and a service manager do; give the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(40)
        return time.monotonic() - began

    def end(self) -> None:
        """Leave nothing behind, whatever a test did."""
        left = self.processes()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in left | self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ---- what it says --------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def health(self) -> tuple[int, dict[str, str]]:
        """The answer of /health/; (0, {}) while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/", timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (OSError, ValueError):
            return 0, {}

    def well(self) -> dict[str, str]:
        """Wait until all is well; give what /health/ says."""
        return self.says(lambda status, said: status == 200, "become well")

    def says(self, expected: Callable[[int, dict[str, str]], bool], what: str) -> dict[str, str]:
        """Wait until /health/ answers as expected; give what it says."""
        wait(lambda: expected(*self.health()), lambda: f"it did not {what}: {self.health()}\n{self.output}")
        return self.health()[1]

    # ---- its processes -------------------------------------------------------------------------------------------

    def processes(self) -> set[int]:
        """Every process that works for this data folder: those with it in their environment, and their children."""
        found = {pid for pid in all_processes() if self._is_ours(pid)}
        return found | {pid for parent in found for pid in descendants(parent)}

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor: the process that was started, or the one that make started."""
        assert self.process is not None
        pid = self.process.pid
        return pid if "supervisord" in read(pid, "cmdline") else children(pid)[0]

    def part(self, name: str) -> int:
        """The process id of a part: `broker`, `worker 1`, `clock` or `web`; 0 while it is away."""
        words = ["valkey-server"] if name == "broker" else ["part", *name.split()]
        for pid in children(self.supervisor):
            command = read(pid, "cmdline").replace("\0", " ")
            if all(word in command for word in words):
                return pid
        return 0

    def kill(self, name: str) -> int:
        """kill -9 of a part; give the process id it had."""
        pid = self.part(name)
        assert pid, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, name: str, instead_of: int) -> None:
        wait(lambda: self.part(name) not in (0, instead_of), lambda: f"{name} did not come back\n{self.output}")

    def _is_ours(self, pid: int) -> bool:
        return f"WAYBILL_DATA_DIR={self.data}" in read(pid, "environ").split("\0")

    # ---- its rows ------------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.data / "waybill.sqlite3", timeout=20)) as database:
            return database.execute(query, values).fetchall()

    def run(self, number: int) -> dict[str, Any]:
        names = ["status", "segments", "epoch", "deaths", "lease_owner", "reason", "source_documents", "source_rows"]
        names += [f"{what}_{bucket}" for what in ("documents", "rows") for bucket in BUCKETS]
        (found,) = self.rows(f"SELECT {', '.join(names)} FROM integrations_run WHERE number = ?", number)
        return dict(zip(names, found, strict=True))

    def wait_for_run(self, number: int, until: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        wait(
            lambda: until(self.run(number)),
            lambda: f"run {number} did not {what}: {self.run(number)}, {self.log(number)}\n{self.output}",
        )
        return self.run(number)

    def ended(self, number: int) -> dict[str, Any]:
        return self.wait_for_run(number, lambda run: run["status"] not in ("queued", "in_progress"), "end")

    def log(self, number: int) -> list[str]:
        query = "SELECT message FROM integrations_logentry l JOIN integrations_run r ON r.id = l.run_id"
        return [message for (message,) in self.rows(f"{query} WHERE r.number = ? ORDER BY l.id", number)]

    def customers(self) -> list[tuple[Any, ...]]:
        """What the Demo CRM holds."""
        with closing(sqlite3.connect(self.data / "demo_crm.db", timeout=20)) as database:
            return database.execute("SELECT * FROM customers ORDER BY customer_number").fetchall()

    def digest(self, number: int) -> dict[str, str]:
        """A digest of a run's ledger (every document, its bucket, what became of the failed) and of the destination."""
        from integrations.runs.journal import unpack_keys

        run = {name: value for name, value in self.run(number).items() if name not in MOVED_BY_FAULTS}
        of_run = "FROM {} x JOIN integrations_run r ON r.id = x.run_id WHERE r.number = ? ORDER BY"
        pages = self.rows("SELECT x.keys " + of_run.format("integrations_ledgersegment") + " x.number", number)
        failed = self.rows(
            "SELECT x.document, x.key, x.bucket, x.sentence, x.rows, x.records "
            + of_run.format("integrations_documentoutcome")
            + " x.document",
            number,
        )
        ledger = [run, [unpack_keys(bytes(keys)) for (keys,) in pages], failed]
        return {
            "ledger": sha256(repr(ledger).encode()).hexdigest(),
            "destination": sha256(repr(self.customers()).encode()).hexdigest(),
        }


BUCKETS = ("created", "updated", "unchanged", "restricted", "failed", "unknown", "held")
MOVED_BY_FAULTS = ("epoch", "deaths", "lease_owner")


def wait(until: Callable[[], bool], why_not: Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Look until something is so; fail with `why_not`."""
    give_up = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < give_up, why_not()
        time.sleep(0.1)
