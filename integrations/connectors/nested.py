"""Nested records become rows: one row for each innermost record, with the outer values repeated, columns named by path.

A record is what stands at the source's path: an object, an element. Its plain values are columns (`customer.name`), a
list of plain values is one value, and every list of records inside of it gives rows (`lines.sku`). A record without
such lists is one row.

Read as documents, every record is a document by its number, and each row tells which list it is of: so a line of a
process can take the rows of its list, and no other, and keys need not be there.
"""

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from integrations.connectors.spec import FieldKind, Setting
from integrations.engine.batch import Row, RowBatch
from integrations.engine.errors import SourceError, Where
from integrations.engine.plan import DOCUMENT, ROWS_OF

BATCH_ROWS = 2_000
COLUMNS_CAP = 16_384
DEPTH_CAP = 60
RECORD_BYTES = 64 << 20
"""What is read at most until the next record is there: it is held as a whole."""
JOINED_BY = "|"
TEXT = ""
"""The name of a value that has no name of its own: the text of an element that has attributes, too."""

Records = Callable[[], Iterator[Any]]

SHAPE = Setting(
    name="shape",
    label="Read as",
    kind=FieldKind.CHOICE,
    default="rows",
    choices=(("rows", "Rows, grouped by key fields"), ("documents", "Documents: each record is one")),
    help="As documents, a line of the target takes the rows of one inner list: choose it under Source Grouping.",
)


class NestedSource:
    """`engine.ports.Source` of nested records. `records` begins to read them anew each time.

    The columns are all that any record has, in the order of their first appearance; `declared` ones where there is no
    record. `lists` are paths that are lists even where only one record stands there.
    """

    def __init__(
        self,
        records: Records,
        *,
        as_documents: bool = False,
        lists: Sequence[str] = (),
        declared: Sequence[str] = (),
        look_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._as_documents = as_documents
        self._lists = frozenset(lists)
        self._declared = tuple(declared)
        self._look_up = look_up
        self._columns: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        if self._columns is None:
            self._columns = self._all_columns()
        return self._columns

    def read(self) -> Iterator[RowBatch]:
        columns = self.columns
        first, rows = 1, list[Row]()
        for values in self._flat():
            rows.append([values.get(name, "") for name in columns])
            if len(rows) == BATCH_ROWS:
                yield RowBatch(rows=rows, first_row=first)
                first, rows = first + len(rows), []
        if rows:
            yield RowBatch(rows=rows, first_row=first)

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _all_columns(self) -> tuple[str, ...]:
        found: dict[str, None] = dict.fromkeys((DOCUMENT, ROWS_OF) if self._as_documents else ())
        any_row = False
        for number, values in enumerate(self._flat()):
            any_row = True
            found.update(dict.fromkeys(values))
            if len(found) > COLUMNS_CAP:
                raise SourceError(
                    f"The records have more than {COLUMNS_CAP:,} different columns. Check the path of the records.",
                    code="source.columns",
                )
            if number % BATCH_ROWS == 0:
                self._look_up()
        return tuple(found) if any_row else self._declared

    def _flat(self) -> Iterator[dict[str, str]]:
        with closing(self._records()) as records:  # type: ignore[type-var]
            for number, record in enumerate(records, 1):
                whole = record if isinstance(record, Mapping) else {"value": record}
                for path, values in self._rows(whole, number):
                    yield {DOCUMENT: str(number), ROWS_OF: path, **values} if self._as_documents else values

    def _rows(
        self,
        record: Mapping[str, Any],
        number: int,
        outer: Mapping[str, str] | None = None,
        path: str = "",
        depth: int = 0,
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Give the rows of a record, each with the path of the innermost list it is of."""
        if depth > DEPTH_CAP:
            raise _too_deep(number)
        own = dict(outer or {})
        inner: list[tuple[str, Sequence[Any]]] = []
        self._collect(record, f"{path}." if path else "", own, inner, number, depth)
        if not any(items for _, items in inner):
            yield path, own
            return
        for name, items in inner:
            for item in items:
                child = item if isinstance(item, Mapping) else {TEXT: item}
                yield from self._rows(child, number, own, name, depth + 1)

    def _collect(
        self,
        record: Mapping[str, Any],
        prefix: str,
        own: dict[str, str],
        inner: list[tuple[str, Sequence[Any]]],
        number: int,
        depth: int,
    ) -> None:
        if depth > DEPTH_CAP:
            raise _too_deep(number)
        for name, value in record.items():
            full = f"{prefix}{name}" if name else prefix.rstrip(".") or "value"
            if full in self._lists and not isinstance(value, list):
                value = [value]
            if isinstance(value, Mapping):
                self._collect(value, f"{full}.", own, inner, number, depth + 1)
            elif isinstance(value, list) and (full in self._lists or any(isinstance(i, Mapping) for i in value)):
                inner.append((full, value))
            else:
                if full in own:
                    raise SourceError(f"Record {number} has two values named “{full}”.", code="source.duplicate_name")
                own[full] = text_of(value)


def text_of(value: Any) -> str:
    """Give a plain value as text, numbers as they were written; the values of a list with | between them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return JOINED_BY.join(text_of(item) for item in value)
    return f"{value:f}" if isinstance(value, Decimal) and abs(value.adjusted()) < 40 else str(value)


def lists_in(records: Iterator[Any], most: int = 200) -> list[str]:
    """Name the paths that hold several records in any of the first `records`, for a guess that a person then fixes."""
    found: dict[str, None] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, list):
            if any(isinstance(item, Mapping) for item in node):
                found[path] = None
            for item in node:
                walk(item, path)
        elif isinstance(node, Mapping):
            for name, item in node.items():
                walk(item, f"{path}.{name}" if path and name else path or name)

    for _, record in zip(range(most), records, strict=False):
        walk(record, "")
    return list(found)


def paths_of(text: Any) -> list[str]:
    """Read paths with commas or line ends between them."""
    return [part.strip() for part in str(text or "").replace("\n", ",").split(",") if part.strip()]


class RecordFile:
    """The bytes of a file for a streaming parser, as UTF-8 where an `encoding` is declared. Refuses to go on when no
    record comes for too long; tell `found` of each."""

    def __init__(self, path: Path, name: str, encoding: str = "") -> None:
        self._name = name
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SourceError(
                f"“{name}” cannot be opened: {error.strerror}. Check that it is still there.", code="source.open"
            ) from error
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
        self._since = 0

    def read(self, size: int = 1 << 16) -> bytes:
        while True:
            chunk = self._file.read(size) if size else b""
            self._since += len(chunk)
            if self._since > RECORD_BYTES:
                raise SourceError(
                    f"“{self._name}” holds {RECORD_BYTES >> 20} MB without a whole record. Check the path of the "
                    "records, or have the file written in smaller ones.",
                    code="source.too_large",
                )
            if self._decoder is None or not size:
                return chunk
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                raise SourceError(
                    f"“{self._name}” is not {self._encoding} text. Choose another encoding of the source.",
                    code="source.encoding",
                ) from error
            if text or not chunk:
                return text.encode("utf-8", "replace")

    def found(self) -> None:
        self._since = 0

    def close(self) -> None:
        self._file.close()


def _too_deep(number: int) -> SourceError:
    return SourceError(
        f"Record {number} is nested more than {DEPTH_CAP} levels deep.", code="source.depth", where=Where(stage="read")
    )
