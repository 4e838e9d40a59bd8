"""How a connector declares itself: connection fields, a test, sources and destinations.

The connection form, the process editor and the runs are built from this; nothing else knows a connector by name.
A new connector is one module with a `CONNECTOR`, one line in `registry.py`, one test and one README row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from integrations.engine.plan import DestinationSpec, Line, Lookup, SourceSpec, ValueType, WriteMode
from integrations.engine.ports import Destination, Found, Source


class FieldKind(StrEnum):
    """How a setting is asked for on a form."""

    TEXT = "text"
    NUMBER = "number"
    SWITCH = "switch"
    CHOICE = "choice"
    SECRET = "secret"
    LONG_TEXT = "long_text"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value a connection, source or destination asks for."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    required: bool = False
    default: Any = ""
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    leads: bool = False
    """It says where the secrets of the connection are sent: when it changes, they have to be typed anew."""
    is_path: bool = False
    """It is a path on the server, which has to lie in a folder that the installation opens to connections."""
    only_with: tuple[str, str] | None = None
    """The choice and its value that it belongs to: with another value nobody need see it."""
    read: Callable[[str], Sequence[str]] | None = None
    """Gives what is to be said of a text that was entered. Raises `DefinitionError` with what is wrong with it."""

    @property
    def secret(self) -> bool:
        return self.kind is FieldKind.SECRET


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A connection at run time: its settings (secrets as `Secret`) and what the installation allows it.

    `folders` are the roots a path may lie in; `allow_nets` the private networks that may be reached.
    """

    public_id: str
    name: str
    settings: Mapping[str, Any]
    folders: Sequence[Path] = ()
    allow_nets: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class TargetField:
    """A field of a target, as the destination describes it."""

    name: str
    type: ValueType = ValueType.TEXT
    type_label: str = ""
    required: bool = False
    key: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something a line can write to: a table, an endpoint."""

    name: str
    label: str = ""
    fields: tuple[TargetField, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The answer of a connection's *Test*: plain words per check, and the offers it makes (a delivery marker …)."""

    ok: bool
    sentence: str
    checks: tuple[tuple[str, bool, str], ...] = ()
    offers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file behind a door: where it lies, how large it is, when it last changed (seconds since 1970)."""

    path: str
    name: str
    size_bytes: int
    changed_at: float


@dataclass(frozen=True, kw_only=True)
class FileDoor:
    """A way to get files besides the upload: a server folder, an SFTP server.

    `find` lists what matches a pattern; the run demands exactly one match of stable size and pins its bytes.
    """

    title: str
    find: Callable[[Opened, str], Sequence[FoundFile]]
    open: Callable[[Opened, FoundFile], BinaryIO]


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source gets to open: its spec, its connection if it has one, and the pinned file if it reads one.

    `values` are those of the run's variables, for what the options name in brackets. `rows` is how many are wanted, 0 all.
    `after` is the watermark where only changes are wanted, "" before there is one; None wants everything.
    `seconds` is how long the other system may take for its next rows. `look_up` is called now and then by what takes
    long, and raises where nobody waits for it any more.
    """

    spec: SourceSpec
    opened: Opened | None = None
    file: Path | None = None
    file_name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    after: str | None = None
    seconds: float = 3_600.0
    look_up: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """A way to read rows.

    `takes_file`: it reads a file, uploaded on the run panel or fetched through the file door of the spec's
    connection (`options["pattern"]`). `repeatable` false: the rows are spooled while being read first. `guess` gives
    options that fit the start of a sample file; a person then keeps or changes them. `from_parent`: the rows are those
    of a parent run, so that it never reads by itself. `reads_changes`: it can read what lies behind a watermark, and
    `watermark_in` is the option that has to say where that goes, as `[WATERMARK]`, if one has to.
    """

    key: str
    title: str
    open: Callable[[SourceContext], Source]
    settings: tuple[Setting, ...] = ()
    guess: Callable[[Path], Mapping[str, Any]] | None = None
    takes_file: bool = False
    repeatable: bool = True
    extensions: tuple[str, ...] = ()
    from_parent: bool = False
    reads_changes: bool = False
    watermark_in: str = ""

    @property
    def needs_connection(self) -> bool:
        return not self.takes_file and not self.from_parent


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that a run makes, as it is remembered: `temporary` is the full path it was about to be placed from."""

    name: str
    temporary: str = ""
    is_placed: bool = False
    is_kept: bool = False
    size_bytes: int | None = None
    sha256: str = ""


class Workspace(Protocol):
    """Where a run makes files, known to whoever continues it. What writes raises `Fenced` once another worker does."""

    folder: Path
    """The run's own, seen by all machines; it may not exist yet, and is removed when the run has ended."""
    locks: Path
    """The same for all runs."""
    token: str
    epoch: int

    def named(self, pattern: str) -> str:
        """Fill in the name of a file, with the variables as they are now."""

    def outputs(self) -> Mapping[int, Output]:
        """Give what is remembered of the files, by the number of their line."""

    def note(self, number: int, output: Output) -> None: ...

    def keep(self, number: int, output: Output, path: Path) -> None:
        """Keep a file with the run, for download. `path` itself may be removed then."""

    def delivered(self) -> Sequence[tuple[int, int]]:
        """Give every segment of the ledger that delivered something, with the epoch that it was written under."""


@dataclass(frozen=True, kw_only=True)
class DestinationContext:
    """What a destination gets to open: its spec, the plan's lines and its connection, and where it may make files.

    `is_over` says whether the run should end: one that sends for long then answers for what it has sent so far.
    `concurrency` is how many documents may be under way at once; 0 leaves that to the connection.
    `retries` is how often what was not taken for a reason that passes is sent again. Before each, `wait_to_retry` is given
    how many records those are and which retry it is; it returns False when the run should end instead.
    """

    spec: DestinationSpec
    lines: tuple[Line, ...]
    opened: Opened
    is_over: Callable[[], bool] = lambda: False
    concurrency: int = 0
    retries: int = 0
    wait_to_retry: Callable[[int, int], bool] = lambda records, retry: False
    workspace: Workspace | None = None


@dataclass(frozen=True, kw_only=True)
class DestinationKind:
    """A way to deliver. `targets` lists what lines may write to, asked of the real system.

    `modes` are what a line may do there; where that is one, nobody is asked. `target_label` and `target_help` say what
    a target is. `complaints` gives what keeps options and lines from being used, in whole sentences. `takes_secrets` is
    False where what arrives is read by people.
    """

    key: str
    title: str
    open: Callable[[DestinationContext], Destination]
    targets: Callable[[Opened], Sequence[Target]] | None = None
    settings: tuple[Setting, ...] = ()
    needs_connection: bool = True
    takes_secrets: bool = True
    modes: tuple[WriteMode, ...] = tuple(WriteMode)
    target_label: str = "Target"
    target_help: str = ""
    complaints: Callable[[Mapping[str, Any], Sequence[Line]], Iterable[str]] = lambda options, lines: ()


class Finder(Protocol):
    """Looks up values in the tables of one system. It only reads."""

    def tables(self) -> Sequence[str]:
        """Name what can be looked up in, by name."""

    def fields(self, table: str) -> Sequence[str]:
        """Name the fields of a table; none when there is no such table."""

    def check(self, lookup: Lookup) -> None:
        """Raise `DefinitionError` for a table or field that is not there."""

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        """As `engine.ports.Lookups`, for the tables of this system."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Connector:
    """One kind of outside system. `offers` maps an offer's key to what carries it out on request.

    `finder` opens its tables for lookups, each answered within the seconds given.
    """

    key: str
    title: str
    summary: str
    settings: tuple[Setting, ...] = ()
    test: Callable[[Opened], Tested] | None = None
    sources: tuple[SourceKind, ...] = ()
    destinations: tuple[DestinationKind, ...] = ()
    file_door: FileDoor | None = None
    finder: Callable[[Opened, float], Finder] | None = None
    offers: Mapping[str, Callable[[Opened], str]] = field(default_factory=dict)
