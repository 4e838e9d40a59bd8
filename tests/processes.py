"""Processes as the system shows them in /proc."""

from contextlib import suppress
from pathlib import Path


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def read(pid: int, what: str) -> str:
    """A text of /proc; "" for a process that ended or is not ours."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="replace")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    return [int(child) for child in read(pid, f"task/{pid}/children").split()]


def descendants(pid: int) -> set[int]:
    below = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            below.update(int(child) for child in task.read_text().split())
    return below | {deeper for child in below for deeper in descendants(child)}


def is_running(pid: int) -> bool:
    """True for a process that has not ended; one that waits to be buried has."""
    status = read(pid, "stat")
    return bool(status) and status.rpartition(")")[2].split()[0] != "Z"
