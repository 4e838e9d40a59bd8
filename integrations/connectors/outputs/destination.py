"""Documents into files: each line of a process is a file, which shows when it is whole and never before.

What holds, whatever dies and when:

- The records of a segment are a piece of their own in the run's workspace, named by the segment and the worker's epoch.
  A segment that is sent again makes its piece anew; which piece counts, the ledger says (its segment carries the epoch).
  So the file holds what the ledger calls delivered, each document once, and none that failed.
- A file is made beside its place under a hidden name and gets its own by one rename. That the rename was about to come
  is remembered before, and whoever continues takes the hidden file back first: it is there to be taken, or was placed.
- An append copies the file, adds to the copy and renames it over the first, under a lock between runs. A program that
  is none of Waybill's and writes to the same file at that moment is not heard.
- A run that ends before everything was attempted places nothing. What it delivered is kept with the run, and so is a
  file whose place cannot be had any more.
- Clear text of a file that is encrypted lies in the workspace alone, which is removed when the run has ended.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from integrations.connectors.outputs import openpgp
from integrations.connectors.outputs.formats import FORMATS, Delimited, Format
from integrations.connectors.outputs.options import PGP_ENDINGS, filled_up, number_of
from integrations.connectors.outputs.placing import (
    copy_durably,
    digest,
    locked,
    numbered,
    remove_left,
    rename,
    sync_folder,
    taken_back,
)
from integrations.connectors.places import HIDDEN, folder_of
from integrations.connectors.spec import DestinationContext, Output, Workspace
from integrations.engine.batch import Bucket, Delivery, LineRecords, MappedBatch, Problem
from integrations.engine.errors import AdministratorError, DefinitionError, Fenced, WaybillError, Where
from integrations.engine.failpoint import failpoint
from integrations.engine.file_name import complaint
from integrations.engine.plan import Line
from integrations.engine.ports import Settled, Ticket
from integrations.engine.secure import has_handle

BATCH_DOCUMENTS = 4_000


class FileDestination:
    """`engine.ports.Destination` and `Completing` on files, in a server folder or kept with the run."""

    settles = False
    repeat_safe = True

    def __init__(self, context: DestinationContext, *, in_folder: bool) -> None:
        if context.workspace is None:
            raise DefinitionError("Files are made by runs only.", code="definition.workspace")
        self._options = options = filled_up(context.spec.options)
        self.batch_size = number_of(options, BATCH_DOCUMENTS)
        self._lines = context.lines
        self._workspace: Workspace = context.workspace
        self._connection = context.opened.name
        self._folder = folder_of(context.opened) if in_folder else None
        self._recipients = openpgp.recipients(str(options["recipients"]))
        make = FORMATS[str(options["format"])]
        self._formats: list[Format] = [make(options, line) for line in context.lines]

    # ---- what the engine asks ------------------------------------------------------------------------------------

    def enter(self, ticket: Ticket) -> Settled | None:
        """Name the files, once for the whole run, and see that they can be placed."""
        outputs = self._workspace.outputs()
        names: dict[str, str] = {}
        for number, line in enumerate(self._lines, start=1):
            name = outputs[number].name if number in outputs else self._named(line.target, line.name)
            if name in names:
                raise DefinitionError(
                    f"The lines {names[name]} and {line.name} both write the file “{name}”. Give one another name on "
                    "the Target tab.",
                    code="file.same_name",
                )
            names[name] = line.name
            if number not in outputs:
                self._see_that_it_fits(number, name)
                self._workspace.note(number, Output(name=name))
        self._workspace.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return None

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        problems = self._faults(batch)
        buckets = [
            verdict or (Bucket.FAILED if index in problems else Bucket.CREATED)
            for index, verdict in enumerate(batch.verdicts)
        ]
        counts = []
        for number, (form, records) in enumerate(zip(self._formats, batch.lines, strict=True), start=1):
            going = [r for r, owner in zip(records.records, records.owners, strict=True) if owner not in problems]
            self._make_piece(number, ticket, form.pack(going))
            counts.append(_counted(records, len(going)))
        sync_folder(self._workspace.folder)
        return Delivery(buckets=buckets, problems=problems, line_counts=counts)

    def complete(self, *, whole: bool) -> Sequence[str]:
        outputs = self._workspace.outputs()
        if not outputs:
            return []
        segments = self._workspace.delivered()
        said: list[str] = []
        for number in range(1, len(self._lines) + 1):
            if number in outputs:
                said += self._complete(number, outputs[number], segments, whole=whole)
        return said

    def close(self) -> None:
        """Nothing stays open between segments."""

    # ---- before anything is sent ---------------------------------------------------------------------------------

    def _named(self, pattern: str, line: str) -> str:
        name = self._workspace.named(pattern)
        if has_handle(name):
            raise DefinitionError(
                f"The file name of the line {line} holds a secure variable, and a name is seen by everyone. Take it out "
                "on the Target tab.",
                code="file.name",
            )
        if said := complaint(name):
            raise DefinitionError(
                f"“{name}”, the file name of the line {line}, {said}. Correct it on the Target tab, or the variable it "
                "is made of.",
                code="file.name",
            )
        return f"{name}.pgp" if self._recipients and not name.lower().endswith(PGP_ENDINGS) else name

    def _see_that_it_fits(self, number: int, name: str) -> None:
        if self._folder is None:
            return
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise AdministratorError(
                f"“{self._folder}” may not be written to by this server. Ask its administrator for access.",
                code="file.access",
            )
        path = self._folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise DefinitionError(
                f"“{name}” at {self._connection} is a folder or a link. Choose another name, or remove it.",
                code="file.kind",
            )
        if not path.exists():
            return
        if self._options["existing"] == "fail":
            raise self._is_there(name)
        if self._options["existing"] == "append":
            form = self._formats[number - 1]
            assert isinstance(form, Delimited)
            form.refuse_others(path)

    def _is_there(self, name: str) -> DefinitionError:
        return DefinitionError(
            f"There is already a file “{name}” at {self._connection}. Move it away, or choose on the Target tab what "
            "happens then.",
            code="file.exists",
        )

    # ---- segment by segment --------------------------------------------------------------------------------------

    def _faults(self, batch: MappedBatch) -> dict[int, Problem]:
        """Find the documents with a record that the format cannot hold; without any, that is one look a line."""
        found: dict[int, Problem] = {}
        for form, line, records in zip(self._formats, self._lines, batch.lines, strict=True):
            for owner, record in zip(records.owners, records.records, strict=True):
                if has_handle(record):
                    found.setdefault(owner, _shows_a_secret(line, record))
            try:
                form.pack(records.records)
            except ValueError:
                for owner, record in zip(records.owners, records.records, strict=True):
                    if fault := form.fault(record):
                        found.setdefault(owner, _problem(line.name, *fault))
        return found

    def _make_piece(self, number: int, ticket: Ticket, packed: bytes) -> None:
        path = self._piece(number, ticket.segment, ticket.epoch)
        growing = path.with_suffix(".part")
        try:
            with growing.open("wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            growing.replace(path)
        except OSError as error:
            raise AdministratorError(
                f"The workspace of this run cannot be written to: {error.strerror}. Tell an administrator; run again "
                "when there is room.",
                code="file.workspace",
            ) from error

    def _piece(self, number: int, segment: int, epoch: int) -> Path:
        return self._workspace.folder / f"{number}-{segment}-{epoch}"

    # ---- at the end ----------------------------------------------------------------------------------------------

    def _complete(
        self, number: int, output: Output, segments: Sequence[tuple[int, int]], *, whole: bool
    ) -> Iterator[str]:
        if output.is_placed or (output.is_kept and (self._folder is None or not whole)):
            return
        if output.temporary and self._was_placed(number, output):
            yield f"“{output.name}” had been placed before another worker took this run over."
            return
        pieces = self._pieces(number, segments)
        if not any(piece.stat().st_size for piece in pieces):
            return
        if self._folder is None or not whole:
            try:
                yield self._keep(number, output, self._made(number, pieces), whole=whole)
            except OSError as error:
                raise _no_room(output.name, error) from error
            return
        try:
            yield self._place(number, output, pieces)
        except Fenced:
            raise
        except (OSError, WaybillError) as error:
            raise self._unplaced(number, output, pieces, error) from error

    def _unplaced(self, number: int, output: Output, pieces: Sequence[Path], error: Exception) -> WaybillError:
        """Keep a file whose place cannot be had with the run, and say so."""
        assert self._folder is not None
        if isinstance(error, WaybillError):
            sentence, code = error.sentence, error.code
        else:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            sentence, code = f"“{output.name}” cannot be placed at {self._connection}: {reason}.", "file.not_placed"
        try:
            with suppress(FileNotFoundError):
                remove_left(self._folder, self._prefix(number))
            self._keep(number, output, self._made(number, pieces), whole=True)
        except OSError as no_room:
            return _no_room(output.name, no_room)
        except DefinitionError:
            # It cannot even be made, for the very reason that is told.
            return AdministratorError(sentence, code=code)
        return AdministratorError(
            f"{sentence} Nothing was placed; this run's own file is kept with it, among its outputs.", code=code
        )

    def _was_placed(self, number: int, output: Output) -> bool:
        """Say what became of a rename that was about to come. What was not placed is taken back for good."""
        if taken_back(Path(output.temporary)):
            self._workspace.note(number, replace(output, temporary=""))
            return False
        self._workspace.note(number, replace(output, is_placed=True, temporary=""))
        return True

    def _pieces(self, number: int, segments: Sequence[tuple[int, int]]) -> list[Path]:
        pieces = [self._piece(number, segment, epoch) for segment, epoch in segments]
        if missing := sum(not piece.exists() for piece in pieces):
            raise AdministratorError(
                f"{missing} of {len(pieces)} pieces of the file are gone from “{self._workspace.folder}”, which every "
                "machine has to see. Nothing was placed. Run again.",
                code="file.pieces",
            )
        return pieces

    def _made(self, number: int, pieces: Sequence[Path], *, behind: Path | None = None) -> Path:
        """Make the file in the workspace, encrypted where it is to be."""
        made = self._workspace.folder / f"made-{number}-{self._workspace.epoch}"
        sealed = made.with_suffix(".pgp")
        for path in (made, sealed):
            path.unlink(missing_ok=True)
        self._formats[number - 1].write(pieces, made, behind=behind)
        if not self._recipients:
            return made
        openpgp.seal(made, sealed, self._recipients)
        made.unlink()
        return sealed

    def _keep(self, number: int, output: Output, made: Path, *, whole: bool) -> str:
        sha256, size_bytes = digest(made)
        self._workspace.keep(number, replace(output, is_kept=True, sha256=sha256, size_bytes=size_bytes), made)
        if self._folder is None and whole:
            return f"“{output.name}” is kept with this run, for download."
        return (
            f"“{output.name}” was not placed, because the run ended before everything was attempted. What the ledger "
            "calls delivered is kept with this run, among its outputs."
        )

    def _place(self, number: int, output: Output, pieces: Sequence[Path]) -> str:
        assert self._folder is not None
        how = self._options["existing"]
        if how == "append":
            with locked(self._workspace.locks, self._folder / output.name):
                before = self._folder / output.name
                return self._rename(number, output, pieces, behind=before if before.exists() else None)
        return self._rename(number, output, pieces)

    def _rename(self, number: int, output: Output, pieces: Sequence[Path], *, behind: Path | None = None) -> str:
        """Make the file, remember that it is about to be placed, and rename it."""
        assert self._folder is not None
        remove_left(self._folder, self._prefix(number))
        if behind is not None:
            form = self._formats[number - 1]
            assert isinstance(form, Delimited)
            form.refuse_others(behind)
        made = self._made(number, pieces, behind=behind)
        sha256, size_bytes = digest(made)
        output = replace(output, sha256=sha256, size_bytes=size_bytes)
        if self._options["keep"] and not output.is_kept:
            output = replace(output, is_kept=True)
            self._workspace.keep(number, output, made)
        temporary = self._folder / f"{self._prefix(number)}{self._workspace.epoch}.part"
        copy_durably(made, temporary)
        names = numbered(output.name) if self._options["existing"] == "number" else iter([output.name])
        replaces = self._options["existing"] in ("append", "replace")
        for name in names:
            output = replace(output, name=name, temporary=str(temporary))
            self._workspace.note(number, output)
            failpoint("outputs.before_rename")
            try:
                rename(temporary, self._folder / name, replace=replaces)
                break
            except FileExistsError:
                continue
        else:
            raise self._is_there(output.name)
        failpoint("outputs.renamed")
        self._workspace.note(number, replace(output, temporary="", is_placed=True))
        return f"“{output.name}” is placed at {self._connection}."

    def _prefix(self, number: int) -> str:
        return f"{HIDDEN}{self._workspace.token}-{number}-"


def _no_room(name: str, error: OSError) -> AdministratorError:
    return AdministratorError(
        f"“{name}” cannot be made: {error.strerror}. Tell an administrator, and run again when there is room.",
        code="file.workspace",
    )


def _counted(records: LineRecords, going: int) -> dict[Bucket, int]:
    counts = Counter(
        {
            Bucket.CREATED: going,
            Bucket.FAILED: len(records.records) - going,
            Bucket.RESTRICTED: records.restricted,
        }
    )
    return dict(+counts)


def _shows_a_secret(line: Line, record: Sequence[Any]) -> Problem:
    column = next(item.target for item, value in zip(line.fields, record, strict=True) if has_handle(value))
    return _problem(line.name, column, "its value is secure, and a file is read by whoever opens it")


def _problem(line: str, column: str, reason: str) -> Problem:
    return Problem(
        sentence=f"{column} of the line {line} cannot be written: {reason}.",
        cause=f"{column} cannot be written: {reason}",
        code="file.value",
        where=Where(stage="deliver", column=column),
    )
