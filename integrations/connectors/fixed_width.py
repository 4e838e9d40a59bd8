"""Fixed width text files: every column stands at its place in the line. Text stays text, blanks around it may go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from integrations.connectors.delimited import ENCODINGS, Format, Text, guess_encoding
from integrations.connectors.spec import FieldKind, Setting, SourceContext, SourceKind
from integrations.engine.batch import RowBatch
from integrations.engine.errors import DefinitionError, SourceError

BATCH_ROWS = 2_000
GUESSED_FROM = 200
WIDTH_CAP = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """A column and where it stands: `start` counts characters from 1."""

    name: str
    start: int
    width: int

    @property
    def end(self) -> int:
        return self.start + self.width - 1


def places(text: str) -> list[Place]:
    """Read “Name start width”, one column a line. Raises `DefinitionError` naming the line that is none."""
    found: list[Place] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = line.rsplit(None, 2)
        numbers = [int(part) for part in parts[1:] if part.isascii() and part.isdecimal() and len(part) < 8]
        if len(numbers) != 2 or not 0 < numbers[0] <= WIDTH_CAP or not 0 < numbers[1] <= WIDTH_CAP:
            raise DefinitionError(
                f"Line {number} of the columns, “{line.strip()[:80]}”, is no column. Write its name, where it starts "
                "and how wide it is, such as CustomerNumber 1 10.",
                code="fixed.columns",
            )
        name = parts[0].strip()
        if any(other.name == name for other in found):
            raise DefinitionError(f"Two columns are named {name}. Rename one of them.", code="fixed.columns")
        found.append(Place(name=name, start=numbers[0], width=numbers[1]))
    if not found:
        raise DefinitionError(
            "No column says where it stands. Write each such as CustomerNumber 1 10 on the Source tab.",
            code="fixed.columns",
        )
    return found


class FixedWidthSource:
    """`engine.ports.Source` of one file. A line that ends before its columns do is a defect of its row, unless lines
    `may_end_early`; lines that are entirely empty are no rows."""

    def __init__(
        self, path: Path, name: str, form: Format, columns: Sequence[Place], *, trim: bool, may_end_early: bool
    ) -> None:
        self._path, self._name, self._form = path, name, form
        self._places = columns
        self._trim, self._may_end_early = trim, may_end_early
        self._width = max(place.end for place in columns)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(place.name for place in self._places)

    def read(self) -> Iterator[RowBatch]:
        lines = enumerate(Text(self._path, self._form, self._name).lines(), 1 + self._form.skip)
        first = 1
        while taken := list(islice(lines, BATCH_ROWS)):
            batch = RowBatch(rows=[], first_row=first, lines=[])
            for number, ended in taken:
                self._take(batch, number, ended.rstrip("\r\n"))
            if batch.rows:
                yield batch
            first += len(batch.rows)

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _take(self, batch: RowBatch, number: int, line: str) -> None:
        if not line:
            return
        if len(line) < self._width and not self._may_end_early:
            cut = next(place.name for place in self._places if place.end > len(line))
            batch.defects[len(batch.rows)] = (
                f"Line {number} has {len(line):,} characters and its columns reach to {self._width:,}: {cut} is cut off."
            )
        values = [line[place.start - 1 : place.end] for place in self._places]
        batch.rows.append([value.strip() for value in values] if self._trim else values)
        assert batch.lines is not None
        batch.lines.append(number)


def guess(path: Path) -> dict[str, Any]:
    """Give columns that fit the start of a file: they begin where, behind a blank, all lines have text again."""
    encoding = guess_encoding(path)
    try:
        text = Text(path, Format(encoding=encoding), path.name)
        lines = [
            line for line in (ended.rstrip("\r\n") for ended in islice(text.lines(), GUESSED_FROM)) if line.strip()
        ]
    except SourceError:
        # What is wrong with the file is said when it is read.
        return {"encoding": encoding}
    found = _blocks(lines)
    names = [lines[0][start:end].strip() for start, end in found] if lines else []
    has_header = _names_columns(names, lines[1:], found)
    columns = [
        Place(name=names[i] if has_header else f"Column {i + 1}", start=start + 1, width=end - start)
        for i, (start, end) in enumerate(found)
    ]
    return {
        "encoding": encoding,
        "columns": "\n".join(f"{place.name} {place.start} {place.width}" for place in columns),
        "skip": 1 if has_header else 0,
    }


def _blocks(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Cut the width of the lines where a column of blanks ends: each part with the blanks behind it."""
    width = max(map(len, lines), default=0)
    filled = [any(len(line) > at and not line[at].isspace() for line in lines) for at in range(width)]
    starts = [at for at in range(width) if filled[at] and (at == 0 or not filled[at - 1])]
    return list(zip(starts, [*starts[1:], width], strict=True))


def _names_columns(names: Sequence[str], others: Sequence[str], found: Sequence[tuple[int, int]]) -> bool:
    """Say whether the first line looks like names: all different, without digits, where the others have some."""
    if not others or not all(names) or len(set(names)) < len(names) or any(map(str.isdigit, "".join(names))):
        return False
    return any(any(map(str.isdigit, line[start:end])) for line in others for start, end in found)


def _open_source(context: SourceContext) -> FixedWidthSource:
    if context.file is None:
        raise DefinitionError("A fixed width source needs a file. Upload one, or name a connection that has it.")
    options = context.spec.options
    form = Format.of({"encoding": options.get("encoding"), "skip": options.get("skip")})
    return FixedWidthSource(
        context.file,
        context.file_name or context.file.name,
        form,
        places(str(options.get("columns") or "")),
        trim=bool(options.get("trim", True)),
        may_end_early=bool(options.get("may_end_early", False)),
    )


KIND = SourceKind(
    key="fixed_width",
    title="Fixed width text file",
    open=_open_source,
    guess=guess,
    takes_file=True,
    extensions=(".txt", ".dat", ".asc", ".prn"),
    settings=(
        Setting(
            name="columns",
            label="Columns",
            kind=FieldKind.LONG_TEXT,
            required=True,
            help="One a line: name, first character, width, such as CustomerNumber 1 10. Guessed from the sample file.",
        ),
        Setting(name="encoding", label="Encoding", kind=FieldKind.CHOICE, default="utf-8", choices=ENCODINGS),
        Setting(
            name="skip", label="Lines to skip", kind=FieldKind.NUMBER, default=0, help="Lines above the first row."
        ),
        Setting(name="trim", label="Drop blanks around values", kind=FieldKind.SWITCH, default=True),
        Setting(
            name="may_end_early",
            label="Lines may end early",
            kind=FieldKind.SWITCH,
            default=False,
            help="What is missing is blank then. Otherwise a line that is too short fails its document.",
        ),
    ),
)
