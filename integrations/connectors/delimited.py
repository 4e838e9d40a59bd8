"""Delimited text files (CSV, TSV …): text stays text, and what is broken is named by its line.

A line whose number of values differs from the header's becomes a defect of its row; the other rows go on. What makes
the whole file doubtful (its encoding, its header, a quote that is never closed) ends the reading with a sentence.
Lines that are entirely empty are no rows, as the csv module's own dictionaries have it.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from integrations.connectors.spec import FieldKind, Setting, SourceContext, SourceKind
from integrations.engine.batch import Row, RowBatch
from integrations.engine.errors import DefinitionError, SourceError, Where

BATCH_ROWS = 2_000
BATCH_CHARS = 4_000_000
"""A batch ends at the first of both, so that memory stays flat for wide rows, too."""
FIELD_CAP = 10_000_000
LINE_CAP = 12_000_000
"""Characters that a single value and a single line may have: what is read at once stays bounded."""
CHUNK_BYTES = 1 << 18
COLUMNS_CAP = 16_384
SAMPLE_BYTES = 1 << 18

ENCODINGS = (
    ("utf-8", "UTF-8"),
    ("utf-16", "UTF-16"),
    ("cp1252", "Windows-1252 (Western Europe)"),
    ("latin-1", "ISO 8859-1 (Latin 1)"),
    ("iso8859-15", "ISO 8859-15 (with €)"),
    ("cp1250", "Windows-1250 (Central Europe)"),
    ("cp1251", "Windows-1251 (Cyrillic)"),
    ("cp850", "DOS 850"),
    ("shift_jis", "Shift JIS"),
    ("gb18030", "GB 18030"),
)
TITLES = dict(ENCODINGS)
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DELIMITERS = ((",", "Comma"), (";", "Semicolon"), ("tab", "Tab"), ("|", "Pipe"))
QUOTES = (('"', 'Double quote "'), ("'", "Single quote '"), ("none", "None"))

# The first bytes of what people rename to .csv, and what it really is.
MAGIC = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive", "Save it as CSV, or read it with the Excel source."),
    (b"PK\x05\x06", "an empty ZIP archive", "Choose the file that holds the rows."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "Save it as CSV or as .xlsx."),
    (b"%PDF", "a PDF document", "Export the rows as CSV."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf", "a 7-Zip archive", "Unpack it first."),
    (b"SQLite format 3\0", "a SQLite database", "Read it with an SQL query."),
)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a file is written: what `options` of a source say, checked."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    skip: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Format":
        """Read the options of a source spec. Raises `DefinitionError` for one that no file could follow."""
        encoding = str(options.get("encoding") or "utf-8").lower()
        try:
            text_codec = codecs.lookup(encoding)._is_text_encoding
        except LookupError:
            text_codec = False
        if not text_codec:
            raise DefinitionError(f"“{encoding}” is no known encoding. Choose one from the list.")
        delimiter = str(options.get("delimiter") or ",").replace("tab", "\t").replace("\\t", "\t")
        if len(delimiter) != 1 or delimiter in "\r\n\0":
            raise DefinitionError("The delimiter must be one character, such as a comma, a semicolon or a tab.")
        quote = str(options.get("quote", '"')).replace("none", "")
        if len(quote) > 1 or quote == delimiter:
            raise DefinitionError("The quote must be one character that is not the delimiter, or none.")
        try:
            skip = int(options.get("skip") or 0)
        except ValueError:
            raise DefinitionError("Lines to skip must be a number.") from None
        return cls(
            encoding=encoding, delimiter=delimiter, quote=quote, header=bool(options.get("header", True)), skip=skip
        )

    @property
    def codec(self) -> str:
        # A byte order mark is no part of the first column's name.
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def reader(self, lines: Iterator[str]) -> Any:
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )


class DelimitedSource:
    """The rows of one delimited file. `name` is what people call it."""

    def __init__(self, path: Path, form: Format, name: str = "") -> None:
        self._path = path
        self._form = form
        self._name = name or path.name
        self._columns: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        if self._columns is None:
            text = self._text()
            names, line = self._first_row(text, self._form.reader(text.lines()))
            self._columns = self._named(names, line) if self._form.header else _numbered(names)
        return self._columns

    def read(self) -> Iterator[RowBatch]:
        width = len(self.columns)
        # The limit belongs to the process, not to the reader; all readers here want the same one.
        csv.field_size_limit(FIELD_CAP)
        text = self._text()
        reader = self._form.reader(text.lines())
        if self._form.header:
            self._first_row(text, reader)
        first_row = 1
        while True:
            start = reader.line_num
            rows, error = _take(reader, text)
            end = start + sum(map(_height, rows)) if error else reader.line_num
            batch = _batch(rows, range(start + 1 + self._form.skip, end + 1 + self._form.skip), first_row, width)
            if batch.rows:
                yield batch
            first_row += len(batch.rows)
            if error:
                # A line with broken quotes costs its own row only; anything else raises here.
                line, sentence = end + 1 + self._form.skip, text.broken(error, end, reader.line_num)
                yield RowBatch(rows=[[""] * width], first_row=first_row, lines=[line], defects={0: sentence})
                first_row += 1
            elif not rows:
                return

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _text(self) -> "Text":
        return Text(self._path, self._form, self._name)

    def _first_row(self, text: "Text", reader: Any) -> tuple[Row, int]:
        """Read the first line that is not empty; give its values and the line it ends at."""
        csv.field_size_limit(FIELD_CAP)
        start = 0
        try:
            for row in reader:
                if row:
                    return row, reader.line_num + self._form.skip
                start = reader.line_num
        except csv.Error as error:
            sentence = text.broken(error, start, reader.line_num)
            raise SourceError(sentence, code="source.quote", where=Where(line=start + 1 + self._form.skip)) from error
        raise SourceError(
            f"“{self._name}” is empty: there is no line to read. Choose another file.", code="source.empty"
        )

    def _named(self, names: Row, line: int) -> tuple[str, ...]:
        if len(names) > COLUMNS_CAP:
            raise SourceError(
                f"The header of “{self._name}” has {len(names):,} columns; {COLUMNS_CAP:,} is the most that can be "
                "read. Check the delimiter.",
                code="source.columns",
                where=Where(line=line),
            )
        columns = tuple(name.strip() or f"Column {number}" for number, name in enumerate(names, 1))
        for name, times in Counter(columns).items():
            if times > 1:
                first, second = [number for number, other in enumerate(columns, 1) if other == name][:2]
                raise SourceError(
                    f"The header of “{self._name}” names “{name}” twice, in columns {first} and {second}. "
                    "Give every column a name of its own.",
                    code="source.duplicate_header",
                    where=Where(line=line, column=name),
                )
        return columns


def _numbered(names: Row) -> tuple[str, ...]:
    return tuple(f"Column {number}" for number in range(1, len(names) + 1))


def _take(reader: Any, text: "Text") -> tuple[list[Row], csv.Error | None]:
    """Read up to a batch of rows, empty lines among them; an error ends it early."""
    rows: list[Row] = []
    enough = text.chars + BATCH_CHARS
    try:
        while len(rows) < BATCH_ROWS and text.chars <= enough:
            before = len(rows)
            # Few at a time, so that rows of many megabytes end the batch soon; one at a time is slower by a quarter.
            rows.extend(islice(reader, 8))
            if len(rows) == before:
                break
    except csv.Error as error:
        return rows, error
    return rows, None


def _batch(rows: list[Row], lines: range, first_row: int, width: int) -> RowBatch:
    """Number the rows by their lines and bring every row to `width`, saying what was wrong with it."""
    numbers = list(lines) if len(lines) == len(rows) else _numbers(rows, lines.start)
    batch = RowBatch(rows=rows, first_row=first_row, lines=numbers)
    if set(map(len, rows)) <= {width}:
        return batch
    batch.rows, batch.lines = [], []
    for row, line in zip(rows, numbers, strict=True):
        if not row and width > 1:
            continue
        if row and len(row) != width:
            few = "too few" if len(row) < width else "too many"
            batch.defects[len(batch.rows)] = (
                f"Line {line} has {_counted(len(row), 'value')}, {few}: the header names {_counted(width, 'column')}."
            )
        batch.rows.append((row + [""] * width)[:width])
        batch.lines.append(line)
    return batch


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _numbers(rows: list[Row], line: int) -> list[int]:
    numbers = []
    for row in rows:
        numbers.append(line)
        line += _height(row)
    return numbers


def _height(row: Row) -> int:
    """Count the lines a row spans: one, and one more for every line end inside its values."""
    return 1 + sum(_line_ends(value) for value in row)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class Text:
    """The decoded lines of a file, read in bounded pieces. `chars` counts what was handed over so far."""

    def __init__(self, path: Path, form: Format, name: str) -> None:
        self._path, self._form, self._name = path, form, name
        self._lines_before = 0
        self.chars = 0

    def lines(self) -> Iterator[str]:
        """Yield lines with their ends. StringIO cuts them, in C: nearly as fast as the file's own iterator."""
        lines = chain.from_iterable(io.StringIO(piece, newline="") for piece in self._pieces())
        for _ in range(self._form.skip):
            next(lines, None)
        return lines

    def broken(self, error: csv.Error, before: int, last: int) -> str:
        """Say what is wrong with the record after line `before`; raise when reading on would make no sense.

        `last` is the line at which it was found: a quote that is not closed draws the lines up to there into it.
        """
        if "expected after" in str(error):
            line, end = before + 1 + self._form.skip, last + self._form.skip
            lines = f"Line {line}" if line == end else f"Lines {line} to {end}"
            return f"{lines} cannot be read: text follows a closing quote. Double the quotes inside of a value."
        line, column, too_large = self._locate(before)
        if too_large:
            raise SourceError(
                f"The value in column {column} at line {line} of “{self._name}” is larger than {FIELD_CAP // 10**6} MB. "
                "A quote that is opened there and closed far below may be the reason.",
                code="source.field_too_large",
                where=Where(line=line, column=str(column)),
            ) from error
        raise SourceError(
            f"The quote opened in column {column} at line {line} of “{self._name}” is never closed. "
            "Close it, or choose another quote character.",
            code="source.open_quote",
            where=Where(line=line, column=str(column)),
        ) from error

    def _locate(self, before: int) -> tuple[int, int, bool]:
        """Find the value that is too large, or else the last one opened, in the record after line `before`."""
        lines = islice(Text(self._path, self._form, self._name).lines(), before, None)
        found = _walk(lines, self._form)
        return found[0] + before + self._form.skip, found[1], found[2]

    def _pieces(self) -> Iterator[str]:
        """Yield decoded text that ends at a line end. Raises at what no text file may hold."""
        rest = ""
        with _open(self._path, self._name) as file:
            _refuse_other_kinds(file, self._form, self._name)
            decoder = codecs.getincrementaldecoder(_codec(self._path, self._form))()
            while True:
                chunk = file.read(CHUNK_BYTES)
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeError as error:
                    raise self._wrong_encoding(error) from error
                if "\0" in text:
                    raise self._nul(rest + text[: text.index("\0")])
                text = rest + text
                cut = len(text) if not chunk else 1 + (text.rfind("\n") if "\n" in text else text.rfind("\r", 0, -1))
                piece, rest = text[:cut], text[cut:]
                if len(rest) > LINE_CAP:
                    raise self._line_too_long(piece, rest)
                if piece:
                    self.chars += len(piece)
                    yield piece
                    self._lines_before += piece.count("\n") or piece.count("\r")
                if not chunk:
                    return

    def _wrong_encoding(self, error: UnicodeError) -> SourceError:
        line = self._lines_before + 1
        if isinstance(error, UnicodeDecodeError):
            line += _line_ends(error.object[: error.start].decode(self._form.codec, "ignore"))
        declared = TITLES.get(self._form.encoding, self._form.encoding)
        fits = _fitting_encoding(self._path, self._form.encoding)
        advice = (
            f"{TITLES[fits]} fits the whole file: choose it as the encoding of the source."
            if fits
            else "No other encoding fits either: the file may be cut off. Export it again."
        )
        return SourceError(
            f"Line {line} of “{self._name}” is not {declared} text. {advice}",
            code="source.encoding",
            where=Where(line=line),
        )

    def _nul(self, before: str) -> SourceError:
        line = self._lines_before + 1 + _line_ends(before)
        looks_wide = _nul_share(self._path) > 0.2
        advice = "The file looks like UTF-16: choose that encoding." if looks_wide else "Export the file again."
        return SourceError(
            f"Line {line} of “{self._name}” holds a NUL character, which no text has. {advice}",
            code="source.nul",
            where=Where(line=line),
        )

    def _line_too_long(self, piece: str, rest: str) -> SourceError:
        line = self._lines_before + 1 + _line_ends(piece)
        _, column, _ = _walk([rest], self._form)
        return SourceError(
            f"Line {line} of “{self._name}” is longer than {LINE_CAP // 10**6} million characters, of which most "
            f"stand in column {column}. Check that the file is text with line ends, and its delimiter.",
            code="source.field_too_large",
            where=Where(line=line, column=str(column)),
        )


def _walk(lines: Iterable[str], form: Format) -> tuple[int, int, bool]:
    """Walk one record value by value, only to find a place in it.

    Give the line (from 1) and column where a value is larger than the cap, and True; or of the last value, and False.
    """
    opened, column, size, quoted = 1, 1, 0, False
    for number, line in enumerate(lines, 1):
        at = 0
        while at < len(line):
            if not quoted and size == 0 and form.quote and line[at] == form.quote:
                quoted, opened, at = True, number, at + 1
                continue
            end = line.find(form.quote if quoted else form.delimiter, at)
            end = len(line) if end < 0 else end
            size, at = size + end - at, end + 1
            if size > FIELD_CAP:
                return opened if quoted else number, column, True
            if quoted and end < len(line):
                quoted = False
                size += 1
                if line[at : at + 1] == form.quote:
                    quoted, at = True, at + 1
            elif not quoted and end < len(line):
                column, size, opened = column + 1, 0, number
        if not quoted:
            break
    return opened, column, False


def _open(path: Path, name: str) -> BinaryIO:
    try:
        return path.open("rb")
    except IsADirectoryError:
        raise SourceError(
            f"“{name}” is a folder, not a file. Choose a file inside of it.", code="source.folder"
        ) from None
    except OSError as error:
        raise SourceError(
            f"“{name}” cannot be opened: {error.strerror}. Check that it is still there.", code="source.open"
        ) from error


def _refuse_other_kinds(file: BinaryIO, form: Format, name: str) -> None:
    """Look at the first bytes: another kind of file is named for what it is. Leaves the file at its start."""
    head = file.read(16)
    file.seek(0)
    for magic, what, advice in MAGIC:
        if head.startswith(magic):
            raise SourceError(f"“{name}” is {what}, whatever its name says. {advice}", code="source.kind")
    if head.startswith(codecs.BOM_UTF8) and form.codec != "utf-8-sig":
        raise SourceError(
            f"“{name}” says of itself that it is UTF-8, but the source expects {TITLES.get(form.encoding, form.encoding)}. "
            "Choose UTF-8 as the encoding of the source.",
            code="source.encoding",
            where=Where(line=1),
        )


def _codec(path: Path, form: Format) -> str:
    """Give the codec for a file. UTF-16 without a mark tells its byte order by where its NULs stand."""
    if form.codec != "utf-16" or _head(path)[:2] in UTF_16_MARKS or _nul_share(path) <= 0.2:
        return form.codec
    head = _head(path)
    return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"


def _fitting_encoding(path: Path, declared: str) -> str:
    """Name the first other encoding in which the whole file is text (of a very large file, its first 64 MB)."""
    wide = _nul_share(path) > 0.2 or _head(path)[:2] in UTF_16_MARKS
    candidates = ("utf-16",) if wide else ("utf-8", "cp1252", "latin-1")
    return next((name for name in candidates if name != declared and _decodes(path, name)), "")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            for _ in range(256):
                chunk = file.read(CHUNK_BYTES)
                decoder.decode(chunk, final=not chunk)
                if not chunk:
                    break
        except UnicodeError:
            return False
    return True


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SAMPLE_BYTES)


def _nul_share(path: Path) -> float:
    head = _head(path)
    return head.count(0) / len(head) if head else 0.0


def guess(path: Path) -> dict[str, Any]:
    """Give options that fit the start of a file, for the editor's preview; a person then keeps or changes them."""
    head, encoding = _head(path), guess_encoding(path)
    sample = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "ignore").split("\n")[:50]
    lines = [line for line in sample if line.strip()]
    return {"encoding": encoding, "delimiter": _likely_delimiter(lines), "quote": '"', "header": True, "skip": 0}


def guess_encoding(path: Path) -> str:
    """Name an encoding that fits the start of a file."""
    head = _head(path)
    if head[:2] in UTF_16_MARKS or _nul_share(path) > 0.2:
        return "utf-16"
    return "utf-8" if _decodes_start(head) else "cp1252"


def _decodes_start(head: bytes) -> bool:
    try:
        # Not final: a character that the sample cuts in two is no fault of the file.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _likely_delimiter(lines: list[str]) -> str:
    """Choose the delimiter that cuts most lines into the same number of values, and into more than one."""

    def fit(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1)
        width, times = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        return times, width

    return max((",", ";", "tab", "|"), key=lambda word: fit("\t" if word == "tab" else word))


def _open_source(context: SourceContext) -> DelimitedSource:
    if context.file is None:
        raise DefinitionError("A delimited source needs a file. Upload one, or name a connection that has it.")
    return DelimitedSource(context.file, Format.of(context.spec.options), context.file_name)


KIND = SourceKind(
    key="delimited",
    title="Delimited text file (CSV, TSV)",
    open=_open_source,
    guess=guess,
    takes_file=True,
    extensions=(".csv", ".tsv", ".txt"),
    settings=(
        Setting(name="encoding", label="Encoding", kind=FieldKind.CHOICE, default="utf-8", choices=ENCODINGS),
        Setting(name="delimiter", label="Delimiter", kind=FieldKind.CHOICE, default=",", choices=DELIMITERS),
        Setting(name="quote", label="Quote", kind=FieldKind.CHOICE, default='"', choices=QUOTES),
        Setting(name="header", label="First line holds the column names", kind=FieldKind.SWITCH, default=True),
        Setting(
            name="skip",
            label="Lines to skip",
            kind=FieldKind.NUMBER,
            default=0,
            help="Lines above the column names that are not read.",
        ),
    ),
)
