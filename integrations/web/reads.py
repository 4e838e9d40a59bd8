"""What a run reads and is given, told in the one way on every page: before it is asked for, in the question of Re-Run, and after."""

from dataclasses import dataclass

from integrations.connectors.registry import source_kind
from integrations.engine.plan import Plan
from integrations.engine.prompts import words_of
from integrations.engine.secure import masked
from integrations.models import Process, Run, StoredFile


@dataclass(frozen=True)
class Reads:
    """What is read, and in small print where it comes from."""

    what: str
    facts: str


def to_be_read(process: Process, plan: Plan, kept: StoredFile | None) -> Reads | None:
    """Say which file a run of `plan` takes while no other one is chosen, as `runs.request` decides it. None: it has
    none yet."""
    if kept is not None:
        return Reads(kept.name, f"{kept.size_bytes:,} bytes · uploaded already, unless you choose another")
    if plan.source.connection:
        return Reads(
            "The one file that matches at its connection", "fetched when the run starts, unless you choose another"
        )
    if process.default_file is not None:
        file = process.default_file
        return Reads(file.name, f"{file.size_bytes:,} bytes · the default file, unless you choose another")
    return None


def read_again(run: Run) -> str:
    """Say what Re-Run of `run` reads, to follow “Run it again”."""
    if run.has_parents_rows:
        return "with the rows that its parent gave it"
    plan = run.version.plan
    kind = source_kind(plan.source.kind)
    if not kind.takes_file:
        return (
            "with the changes since the watermark as it is now"
            if plan.source.reads_changes
            else f"with what its source ({kind.title}) gives now"
        )
    if run.source_file is not None:
        return f"with {run.source_file.name}, {run.source_file.size_bytes:,} bytes"
    return "with the file that it finds now"


def takes_file(run: Run) -> bool:
    """True where the source file of `run` is one that people know, and not the spool of its rows."""
    return not run.has_parents_rows and source_kind(run.version.plan.source.kind).takes_file


def was_read(run: Run) -> Reads:
    """Say what `run` reads or has read."""
    if run.has_parents_rows:
        return Reads("Rows of its parent", "")
    kind = source_kind(run.version.plan.source.kind)
    if not kind.takes_file:
        return Reads(kind.title, "asked by the run itself, no file is needed")
    if run.source_file is not None:
        return Reads(run.source_file.name, f"{run.source_file.size_bytes:,} bytes")
    return (
        Reads("The one file that matches at its connection", "fetched when the run starts")
        if run.is_open
        else Reads("None", "")
    )


def given_to(run: Run) -> list[tuple[str, str]]:
    """Give what `run` was asked for with, by the names that people read, a period with its dates."""
    asked = run.version.plan.asked
    return [(item.asked_as, words_of(masked(run.given[item.name]))) for item in asked if item.name in run.given]
