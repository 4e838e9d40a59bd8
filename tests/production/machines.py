"""Several machines on one: each runs the README's own commands, with an environment file and a data folder of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.readme import ROOT, blocks

HEADING = "Several machines"
STOPS_IN_SECONDS = 20


def commands(language: str) -> list[str]:
    """Give the blocks of a language under the README's heading, in order."""
    return [block.text for block in blocks() if block.heading == HEADING and block.language == language]


def command(wanted: str) -> str:
    """Give the one command line of the README that contains `wanted`."""
    (found,) = (line for text in commands("sh") for line in text.splitlines() if wanted in line)
    return found


def replaced(text: str, places: dict[str, str]) -> str:
    """Put this test's places where the README has examples. An example that is not there fails."""
    for example, place in places.items():
        assert example in text, f"the README no longer says {example}"
        text = text.replace(example, place)
    return text


class Machine:
    """A machine of the installation. What it starts it stops."""

    def __init__(self, folder: Path, settings: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.settings = folder / "waybill.env"
        self.settings.write_text(settings.replace("/etc/waybill.env", str(self.settings)))
        self._started: list[subprocess.Popen[str]] = []

    def run(self, line: str) -> str:
        """Run a command to its end; give what it said, or fail with it."""
        done = subprocess.run(
            self._shell(line), env=bare(), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def refusal(self, line: str) -> str:
        """Run a command that has to fail; give what it said."""
        done = subprocess.run(
            self._shell(line), env=bare(), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode != 0, f"{line} succeeded: {done.stdout}"
        return done.stderr

    def start(self, line: str) -> None:
        """Start a part. Its output stands in the machine's folder."""
        with (self.folder / f"{len(self._started)}.log").open("w") as log:
            process = subprocess.Popen(
                self._shell(f"exec {line}"), env=bare(), cwd=ROOT, stdout=log, stderr=log, text=True
            )
        self._started.append(process)

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in self._started:
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPS_IN_SECONDS)
            if process.poll() is None:
                process.kill()
                process.wait()

    def _shell(self, line: str) -> list[str]:
        reads = command("/etc/waybill.env").replace("/etc/waybill.env", str(self.settings))
        return ["sh", "-c", f"{reads}\n{here(line)}"]


def here(line: str) -> str:
    """Let the commands use the Python that runs these tests."""
    return line.replace(".venv/bin/python", sys.executable)


def bare() -> dict[str, str]:
    """An environment with nothing of Waybill's in it: all settings come from the machine's file."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("WAYBILL_", "DJANGO_"))}
