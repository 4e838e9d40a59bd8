"""Where a run makes its files, and what it keeps of them for download.

The workspace lies beside the stored files, which every machine sees: whoever continues a run finds the pieces there.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django_scopes import scopes_disabled

from integrations.connectors.spec import Output
from integrations.engine.batch import DELIVERED
from integrations.engine.file_name import named
from integrations.engine.variables import Variables
from integrations.models import LedgerSegment, OutputFile, Run
from integrations.models.run import OPEN
from integrations.runs.files import store
from integrations.runs.journal import RunJournal


class RunWorkspace:
    """`connectors.spec.Workspace` of one run in one worker's hands."""

    def __init__(self, run: Run, epoch: int, journal: RunJournal, variables: Variables, started_at: datetime) -> None:
        self._run = run
        self._journal = journal
        self._variables = variables
        self._started_at = started_at
        self.folder = workspace_of(run)
        self.locks = _outputs() / "locks"
        self.token = run.public_id.hex
        self.epoch = epoch

    def named(self, pattern: str) -> str:
        return named(pattern, self._variables.snapshot() | facts_of(self._run), self._started_at)

    def outputs(self) -> Mapping[int, Output]:
        return {
            item.number: Output(
                name=item.name,
                temporary=item.temporary,
                is_placed=item.is_placed,
                is_kept=item.file_id is not None,
                size_bytes=item.size_bytes,
                sha256=item.sha256,
            )
            for item in OutputFile.objects.filter(run=self._run)
        }

    def note(self, number: int, output: Output) -> None:
        self._journal.output(
            number,
            name=output.name,
            temporary=output.temporary,
            is_placed=output.is_placed,
            size_bytes=output.size_bytes,
            sha256=output.sha256,
        )

    def keep(self, number: int, output: Output, path: Path) -> None:
        with path.open("rb") as file:
            kept = store(self._run.company, file, name=output.name, by=self._run.requested_by)
        self._journal.output(
            number,
            name=output.name,
            temporary=output.temporary,
            size_bytes=kept.size_bytes,
            sha256=kept.sha256,
            file=kept,
        )

    def delivered(self) -> Sequence[tuple[int, int]]:
        segments = LedgerSegment.objects.filter(run=self._run).order_by("number")
        return [
            (number, epoch)
            for number, epoch, documents in segments.values_list("number", "epoch", "documents")
            if any(documents.get(str(bucket)) for bucket in DELIVERED)
        ]


def facts_of(run: Run) -> dict[str, str]:
    """Give what is known of a run from its start, as names of files may hold it."""
    return {
        "run.number": str(run.number),
        "run.name": run.name,
        "run.process": run.process.name,
        "run.company": run.company.name,
        "run.user": str(run.requested_by or ""),
    }


def workspace_of(run: Run) -> Path:
    return _outputs() / run.public_id.hex


def clear(run: Run) -> None:
    """Remove the workspace of a run that has ended: what was to be kept is, and clear text must not stay."""
    shutil.rmtree(workspace_of(run), ignore_errors=True)


def clear_left() -> int:
    """Remove the workspaces that runs left whose last worker was killed. Gives how many."""
    if not _outputs().is_dir():
        return 0
    there = {path.name: path for path in _outputs().iterdir() if path.name != "locks"}
    with scopes_disabled():
        open_runs = Run.objects.filter(status__in=OPEN).values_list("public_id", flat=True)
        going_on = {key.hex for key in open_runs} if there else set()
    left = [path for name, path in there.items() if name not in going_on]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _outputs() -> Path:
    return Path(settings.FILES_DIR) / "outputs"
