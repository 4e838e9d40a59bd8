"""The parent's side of the script child: sends batches, streams answers, kills what does not answer, goes on."""

import json
import mmap
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.egress import lock_in
from integrations.engine.batch import Document, Row
from integrations.engine.errors import DefinitionError, WaybillError
from integrations.engine.plan import ColumnType, Line, Plan, Task
from integrations.engine.ports import Computed, Fault
from integrations.engine.variables import FACTS, KEYS, STANDING, Variables
from integrations.scripting.check import check_script, fault_line
from integrations.scripting.names import mentioned, token

HERE = Path(__file__).parent
BATCH_DOCUMENTS = 1_000
BATCH_CHARS = 4_000_000
STARTS_IN_SECONDS = 20.0
LOSSES = 3
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one document may cost. The parent kills `grace_seconds` after the child should have stopped by itself."""

    seconds: float = 1.0
    grace_seconds: float = 0.2
    memory_bytes: int = 64 << 20
    stack_bytes: int = 256 << 10
    answer_chars: int = 1_000_000


class Closed(WaybillError):
    """The scripts were closed while somebody still waited for their answer."""


class _Died(Exception):
    """The child ended or had to be killed. `culprit` is the document of the batch it was at."""

    def __init__(self, culprit: int, *, killed: bool) -> None:
        super().__init__(culprit)
        self.culprit = culprit
        self.killed = killed


class Sandbox:
    """`engine.ports.Scripts` of one run: one child at a time, started anew when one had to be killed."""

    def __init__(
        self, plan: Plan, columns: Sequence[str], limits: Limits, variables: Variables, facts: Mapping[str, Any]
    ) -> None:
        self._additional = plan.additional_names
        self._lines = plan.script_lines
        self._tasks = plan.active_tasks
        self._places = {task.name: place for place, task in enumerate(self._tasks)}
        self._limits = limits
        self._scripts = [_scripts_of(line) for line in self._lines]
        self._variables = variables
        self._facts = dict(facts)
        self._indexes, self._setup = self._set_up(columns)
        self._told = -1
        """The revision of the variables that the child knows."""
        self._at_once = BATCH_DOCUMENTS
        self._closed = threading.Event()
        self._interrupted = threading.Event()
        self.isolation = ""
        self._child = self._started()

    def read_rows_of(self, columns: Sequence[str]) -> None:
        """Take over the columns that the source really has, known only once it is read. The child is started anew where
        its scripts see other ones than before."""
        indexes, setup = self._set_up(columns)
        known, self._indexes, self._setup = self._setup, indexes, setup
        if setup != known:
            self._child.close()
            self._child = self._started()

    def evaluate(self, documents: Sequence[Sequence[Sequence[Row]]]) -> Iterator[list[list[Computed]] | Fault]:
        """Yield the answer for each document in order. A document that kills its child costs itself alone."""
        begin = losses = 0
        while begin < len(documents):
            if self._interrupted.is_set():
                raise Closed("The scripts were interrupted.")
            batch, packed = self._packed(documents, begin)
            answered = 0
            try:
                self._tell_variables()
                for answer in self._child.ask(len(batch), packed, self._limits):
                    answered += 1
                    yield self._read(answer)
            except _Died as died:
                if self._closed.is_set() or self._interrupted.is_set():
                    raise Closed("The scripts were closed.") from None
                self._child.close()
                if died.culprit < 0:
                    # It was gone before it was asked: no document is to blame.
                    losses += 1
                    if losses == LOSSES:
                        raise _keeps_ending() from None
                    self._child = self._started()
                    continue
                # Up to the culprit nothing was wrong; what was answered but not told yet is asked again.
                culprit = max(died.culprit, answered)
                self._child = self._started()
                for answer in self._again(batch[answered:culprit]):
                    yield self._read(answer)
                yield self._deadly(died)
                answered = culprit + 1
            begin += answered

    def ask_condition(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> bool | Fault:
        """Say whether `task` is to be done."""
        return self._ask_task(task, "condition", document, facts)

    def run_script(self, task: Task, document: Document | None, facts: Mapping[str, Any]) -> bool | Fault:
        """Run the script of `task`; its context is the document's first row. False says that the task failed."""
        return self._ask_task(task, "script", document, facts)

    def interrupt(self) -> None:
        """End an evaluation in another thread, which gets `Closed`. Once it has ended, tasks may be asked again."""
        self._interrupted.set()
        self._child.close()

    def close(self) -> None:
        self._closed.set()
        self._child.close()

    def _set_up(self, columns: Sequence[str]) -> tuple[list[int], bytes]:
        """Give the columns that the scripts look at, and what a child is told when it starts."""
        columns = [*columns, *self._additional]
        bodies = [body for task in self._tasks for body in (task.condition, task.script) if body]
        indexes = mentioned([*(script for line in self._scripts for script in line), *bodies], columns)
        names = [columns[index] for index in indexes]
        setup = {
            "tokens": [token(name) for name in names],
            "names": names,
            "lines": [{"restriction": line.restriction, "calculations": _calculations(line)} for line in self._lines],
            "tasks": [{"condition": task.condition, "script": task.script} for task in self._tasks],
            "variables": self._variables.names,
            "facts": self._facts,
            "countable": [name for name in (*FACTS, *KEYS) if name not in STANDING],
            "keys": list(KEYS),
            "most": self._limits.answer_chars,
        }
        return indexes, json.dumps(setup).encode()

    def _ask_task(self, task: Task, part: str, document: Document | None, facts: Mapping[str, Any]) -> bool | Fault:
        # A document with a problem has no additional columns yet: they are blank.
        rows = (
            [[row[i] if i < len(row) else "" for i in self._indexes] for row in document.full_rows] if document else []
        )
        if self._interrupted.is_set():
            self._interrupted.clear()
            self._child.close()
            self._child = self._started()
        asked = {"task": self._places[task.name], "part": part, "row": rows[0] if rows else [], "rows": rows}
        message = json.dumps(asked | {"run": dict(facts)})
        for _ in range(LOSSES):
            try:
                self._tell_variables()
                (answer,) = self._child.ask(1, message, self._limits)
                return self._task_answer(task, part, answer)
            except _Died as died:
                if self._closed.is_set():
                    raise Closed("The scripts were closed.") from None
                self._child.close()
                self._child = self._started()
                if died.culprit >= 0:
                    return self._deadly(died)
        raise _keeps_ending()

    def _task_answer(self, task: Task, part: str, answer: Any) -> bool | Fault:
        if isinstance(answer, dict) and "answers" in answer:
            self._note_written(answer["variables"])
            answer = answer["answers"]
        if isinstance(answer, bool):
            return answer
        source = task.condition if part == "condition" else task.script
        what = f"The condition of {task.name}" if part == "condition" else f"The script of {task.name}"
        return self._worded(answer, what, "", source)

    def _tell_variables(self) -> None:
        """Give the child the variables where it does not know them as they are now."""
        revision = self._variables.revision
        if self._told != revision:
            self._child.tell({"variables": self._variables.snapshot()})
            self._told = revision

    def _note_written(self, written: Mapping[str, Any]) -> None:
        """Take over what a script wrote. The child knows it already, but for what was sealed on the way."""
        knew_all = self._told == self._variables.revision
        self._variables.update(written)
        if knew_all and all(self._variables.value(name) == value for name, value in written.items()):
            self._told = self._variables.revision

    def _again(self, batch: Sequence[Any]) -> Iterator[Any]:
        self._tell_variables()
        try:
            yield from self._child.ask(len(batch), json.dumps(batch), self._limits)
        except _Died:
            raise _keeps_ending() from None

    def _packed(self, documents: Sequence[Sequence[Sequence[Row]]], begin: int) -> tuple[list[Any], str]:
        """Give the next documents with the columns that the scripts look at, and the same as JSON of bounded size."""
        batch = [self._needed(document) for document in documents[begin : begin + self._at_once]]
        packed = json.dumps(batch)
        while len(packed) > BATCH_CHARS and len(batch) > 1:
            self._at_once = len(batch) // 2
            batch = batch[: self._at_once]
            packed = json.dumps(batch)
        if len(packed) < BATCH_CHARS // 4:
            self._at_once = min(self._at_once * 2, BATCH_DOCUMENTS)
        return batch, packed

    def _needed(self, document: Sequence[Sequence[Row]]) -> list[list[list[str]]]:
        indexes = self._indexes
        return [
            [[row[index] for index in indexes] for row in rows] if scripts else [[]] * len(rows)
            for rows, scripts in zip(document, self._scripts, strict=True)
        ]

    def _started(self) -> "_Child":
        child = _Child(self._limits)
        try:
            said = child.greet(self._setup)
        except _Died:
            child.close()
            raise WaybillError(
                "The process that evaluates scripts could not be started. Run again; if it happens again, tell an "
                "administrator: the server's memory may be short.",
                code="internal.scripts",
            ) from None
        if "refused" in said:
            child.close()
            raise self._uncompilable(str(said["refused"]))
        self.isolation = said["isolation"]
        self._told = -1
        return child

    def _uncompilable(self, said: str) -> DefinitionError:
        """Say which script the child could not compile, and where."""
        for what, body in self._named_bodies():
            for complaint in check_script(body, needs_return=False):
                line = f" at line {complaint.line}" if complaint.line else ""
                return DefinitionError(
                    f"{what} cannot be compiled{line}: {complaint.sentence} Correct it in the editor.",
                    code="definition.script",
                )
        message = said.split("\n", 1)[0].removeprefix("SyntaxError: ")
        return DefinitionError(
            f"A script of this integration cannot be compiled: {message}. Correct it in the editor.",
            code="definition.script",
        )

    def _named_bodies(self) -> Iterator[tuple[str, str]]:
        for line in self._lines:
            yield f"The restriction of {line.name}", line.restriction
            for item in line.fields:
                if item.column_type is ColumnType.CALCULATION:
                    yield f"The calculation of {item.target}", item.value
        for task in self._tasks:
            yield f"The condition of task {task.name}", task.condition
            yield f"The script of task {task.name}", task.script

    def _read(self, answer: Any) -> list[list[Computed]] | Fault:
        if isinstance(answer, dict) and "answers" in answer:
            self._note_written(answer["variables"])
            answer = answer["answers"]
        if isinstance(answer, dict):
            return self._fault(answer)
        return [[Computed(given[0] == 1, given[1:]) for given in line] for line in answer]

    def _fault(self, answer: dict[str, Any]) -> Fault:
        line = self._lines[answer["line"]] if answer["line"] < len(self._lines) else None
        what, column, source = _script_at(line, answer["place"])
        return self._worded(answer, what, column, source)

    def _worded(self, answer: Mapping[str, Any], what: str, column: str, source: str) -> Fault:
        said = str(answer["said"])
        number = fault_line(str(answer.get("stack", "")), source)
        at = f" at line {number}" if number else ""
        if answer.get("refused"):
            sentence = f"{what} {said}."
        elif said == "InternalError: interrupted":
            sentence, at = f"{what} ran longer than {self._limits.seconds:g} s and was stopped.", ""
        elif said == "InternalError: out of memory":
            megabytes = self._limits.memory_bytes >> 20
            sentence = f"{what} needed more than {megabytes} MB of memory and was stopped."
        else:
            sentence = f"{what} failed{at}: {said}"
        return Fault(sentence=sentence, code="script", column=column, line=number or None)

    def _deadly(self, died: _Died) -> Fault:
        if died.killed:
            sentence = f"A script ran longer than {self._limits.seconds:g} s inside one operation and was ended."
        else:
            sentence = "A script ended the process it ran in, as one does that needs far too much memory."
        return Fault(sentence=sentence, code="script.killed")


class _Child:
    """One process. `ask` must be drained or the child closed before the next."""

    def __init__(self, limits: Limits) -> None:
        page = os.memfd_create("waybill-script-place")
        os.ftruncate(page, mmap.PAGESIZE)
        self._place = mmap.mmap(page, mmap.PAGESIZE)
        setup = {
            "page": page,
            "parent": os.getpid(),
            "locks": str(Path(lock_in.__file__).parent),
            "harness": str(HERE / "harness.js"),
            "memory_bytes": limits.memory_bytes,
            "stack_bytes": limits.stack_bytes,
            "seconds": limits.seconds,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(HERE / "child.py"), json.dumps(setup)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                pass_fds=[page],
                start_new_session=True,
                bufsize=0,
            )
        finally:
            os.close(page)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        self._buffer = b""
        self._closing = threading.Lock()

    def greet(self, setup: bytes) -> dict[str, Any]:
        """Hand over the scripts; give what the child says of itself."""
        self._send(setup, STARTS_IN_SECONDS)
        said: dict[str, Any] = json.loads(self._frame(STARTS_IN_SECONDS))
        return said

    def ask(self, count: int, packed: str, limits: Limits) -> Iterator[Any]:
        """Yield the answer of each of `count` documents, given as a JSON list, or of one task. Raises `_Died` with the
        culprit."""
        if not count:
            return
        self._point(0)
        self._send(struct.pack(">I", count) + packed.encode(), STARTS_IN_SECONDS)
        told = 0
        while told < count:
            for answer in json.loads(self._frame(limits.seconds + limits.grace_seconds)):
                told += 1
                yield answer

    def tell(self, message: Mapping[str, Any]) -> None:
        """Bring something that has no answer. Raises `_Died`, with nobody to blame."""
        try:
            self._point(NOBODY)
            self._send(struct.pack(">I", 0) + json.dumps(message).encode(), STARTS_IN_SECONDS)
            self._frame(STARTS_IN_SECONDS)
        except _Died as died:
            raise _Died(NOBODY, killed=died.killed) from None

    def close(self) -> None:
        with self._closing:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._in.close()
            self._out.close()

    def _point(self, number: int) -> None:
        struct.pack_into("q", self._place, 0, number)

    def _at(self) -> int:
        return int(struct.unpack_from("q", self._place, 0)[0])

    def _send(self, payload: bytes, seconds: float) -> None:
        data = memoryview(struct.pack(">I", len(payload)) + payload)
        until = time.monotonic() + seconds
        while data:
            try:
                _, writable, _ = select.select([], [self._in], [], max(0.0, until - time.monotonic()))
                if not writable:
                    raise _Died(NOBODY, killed=True)
                data = data[os.write(self._in.fileno(), data) :]
            except (BrokenPipeError, ValueError, OSError):
                raise _Died(NOBODY, killed=False) from None

    def _frame(self, seconds: float) -> bytes:
        """Read one frame. A child that stays at one document for longer than `seconds` is killed."""
        size = struct.unpack(">I", self._exactly(4, seconds))[0]
        return self._exactly(size, seconds)

    def _exactly(self, size: int, seconds: float) -> bytes:
        at, since = self._at(), time.monotonic()
        while len(self._buffer) < size:
            try:
                readable, _, _ = select.select([self._out], [], [], 0.05)
                part = os.read(self._out.fileno(), 1 << 20) if readable else None
            except (ValueError, OSError):
                raise _Died(self._at(), killed=False) from None
            if part == b"":
                raise _Died(self._at(), killed=False)
            if part:
                self._buffer += part
            if self._at() != at or part:
                at, since = self._at(), time.monotonic()
            elif time.monotonic() - since > seconds:
                raise _Died(at, killed=True)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def _keeps_ending() -> WaybillError:
    return WaybillError(
        "The process that evaluates scripts ends again and again, with no document to blame. Tell an administrator: "
        "the server's memory may be short.",
        code="internal.scripts",
    )


def _calculations(line: Line) -> list[str]:
    return [item.value for item in line.fields if item.column_type is ColumnType.CALCULATION]


def _scripts_of(line: Line) -> list[str]:
    return [script for script in (line.restriction, *_calculations(line)) if script]


def _script_at(line: Line | None, place: int) -> tuple[str, str, str]:
    """Name a script for a person: what it is, its column ("" for the restriction), its source."""
    if line is None:
        return "A script", "", ""
    if place < 0:
        return f"The restriction of {line.name}", "", line.restriction
    calculated = [item for item in line.fields if item.column_type is ColumnType.CALCULATION]
    if place >= len(calculated):
        return "A script", "", ""
    return f"The calculation of {calculated[place].target}", calculated[place].target, calculated[place].value
