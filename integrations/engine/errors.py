"""What can go wrong, typed by what the reader should do next.

Every error carries a stable `code`, a sentence for an operator, and where it happened. It never carries a payload
or a secret. They are caught in three places only: a connector's edge, `engine.execute` and `runs.perform`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Where:
    """The place of a fault, as far as it is known; rows and lines count from 1 as a text editor shows them."""

    stage: str = ""
    document: str = ""
    column: str = ""
    line: int | None = None


class WaybillError(Exception):
    """Base of all expected faults: a sentence for the person, a code for programs, a place."""

    code = "internal"

    def __init__(self, sentence: str, *, code: str = "", where: Where | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.code
        self.where = where or Where()


class DefinitionError(WaybillError):
    """Change the definition: a column, script, table or option does not fit."""

    code = "definition"


class SourceError(WaybillError):
    """Correct the file or its declared format: the source cannot be read as it stands. Nothing was sent."""

    code = "source"


class RecordError(WaybillError):
    """Fix the record: this one document cannot be mapped or was refused; the others go on."""

    code = "record"


class TransientError(WaybillError):
    """Wait and retry: the other system did not take it now, and nothing was changed there."""

    code = "transient"


class UnknownOutcome(WaybillError):
    """Ask the destination: it may or may not have taken the document, the answer was lost."""

    code = "unknown"


class AdministratorError(WaybillError):
    """Ask an administrator: credentials, permissions, keys, limits or the network rule."""

    code = "administrator"


class Fenced(WaybillError):
    """This worker no longer holds the run: another one does, or it has ended. Drop everything, write nothing."""

    code = "fenced"
