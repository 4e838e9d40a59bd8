"""What a designer is told of a script while it is written: what the parser says, and names that are not there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache

from integrations.engine.plan import DOCUMENT_STAGES, Stage
from integrations.engine.variables import NAME
from integrations.scripting.check import Complaint, Severity, check_script, looked_up
from integrations.scripting.names import token

EVERYWHERE = frozenset({"this.run", "this.rows"})


def complaints_about(
    script: str, *, columns: Sequence[str], variables: Collection[str], stage: Stage | None = None
) -> list[Complaint]:
    """Give all that is wrong with a script, the worst first. `stage` is that of its task, where it belongs to one."""
    found = check_script(script, needs_return=True)
    if any(complaint.severity is Severity.ERROR for complaint in found):
        return found
    return found + unknown_variables(script, variables) + unknown_columns(script, columns, stage=stage)


def unknown_variables(script: str, variables: Collection[str]) -> list[Complaint]:
    """Name the global variables that a script mentions and that do not exist."""
    return [
        Complaint(line, f"{written} is no global variable{_nearest(written, _members(variables))}.", Severity.WARNING)
        for line, written in looked_up(script)
        if (name := NAME.fullmatch(written.removeprefix("this."))) and name[0] not in variables
    ]


def unknown_columns(script: str, columns: Sequence[str], *, stage: Stage | None = None) -> list[Complaint]:
    """Name what a script looks up as a column and what the source does not have. Nothing while no column is known."""
    looked = [item for item in looked_up(script) if not _is_everywhere(item[1])] if columns else []
    if stage is not None and stage not in DOCUMENT_STAGES:
        return [
            Complaint(line, f"{written}: at this stage there is no document to look at.", Severity.WARNING)
            for line, written in looked
        ]
    tokens = _tokens(tuple(columns)) if looked else {}
    return [
        Complaint(line, f"{written} is no column of the source{_nearest(written, _members(tokens))}.", Severity.WARNING)
        for line, written in looked
        if (name := written.removeprefix("this.")) not in tokens and not _is_raw(name, columns, tokens)
    ]


# Hundreds of scripts of one draft are judged by the same columns.
@lru_cache(maxsize=8)
def _tokens(columns: tuple[str, ...]) -> Mapping[str, None]:
    return dict.fromkeys(map(token, columns))


def _is_everywhere(written: str) -> bool:
    return written in EVERYWHERE or NAME.fullmatch(written.removeprefix("this.")) is not None


def _is_raw(written: str, columns: Sequence[str], tokens: Collection[str]) -> bool:
    """Say whether `this["Zip Code"]` names a column by its own name, or by the one that scripts know it by."""
    name = written.removeprefix("this[")[1:-2]
    return written.startswith("this[") and (name in columns or name in tokens)


def _members(names: Iterable[str]) -> list[str]:
    return [f"this.{name}" for name in names]


def _nearest(written: str, offered: Sequence[str]) -> str:
    """Give the name most like what is written, as the end of a sentence; "" when none is like it."""
    folded = {name.casefold().replace("this._", "this."): name for name in reversed(offered)}
    close = get_close_matches(written.casefold().replace("this._", "this."), folded, n=1, cutoff=0.6)
    return f". Nearest name: {folded[close[0]]}" if close else ""
