"""XML files: every element at a path is a record. Streamed, only one record is held; what could harm is refused.

A document type declaration is where entities, external files and expansion bombs come from, so a file that has one is
not read at all. Namespaces play no part in names: `inv:total` is `total`.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from xml.parsers import expat

from integrations.connectors.delimited import ENCODINGS
from integrations.connectors.nested import SHAPE, TEXT, NestedSource, RecordFile, lists_in, paths_of
from integrations.connectors.spec import FieldKind, Setting, SourceContext, SourceKind
from integrations.engine.errors import DefinitionError, SourceError, Where

CHUNK_BYTES = 1 << 16
LISTED = 8
DEPTH_CAP = 200


def records(path: Path, name: str, *, at: str, encoding: str = "") -> Iterator[Any]:
    """Yield the elements at a path as nested values. Raises `SourceError` for what is no XML, or may not be read."""
    steps = [step for step in at.split("/") if step]
    if not steps:
        raise DefinitionError("The path of the records is empty. Write it such as orders/order on the Source tab.")
    file = RecordFile(path, name)
    reader = _Reader(steps, name, anchored=at.startswith("/"), encoding=encoding)
    count = 0
    try:
        while chunk := file.read(CHUNK_BYTES):
            for record in reader.feed(chunk):
                file.found()
                count += 1
                yield record
        reader.end()
    finally:
        file.close()
    if not count and len(reader.seen) > 1:
        listed = ", ".join(list(reader.seen)[:LISTED])
        raise SourceError(
            f"“{name}” has no element at {at}. It has: {listed}. Correct the path on the Source tab.",
            code="source.xml_path",
        )


def guess(path: Path) -> dict[str, Any]:
    """Give a path and lists that fit the start of a file: its first element that comes again, or the root's child."""
    try:
        at = _likely_path(path)
        lists = lists_in(records(path, path.name, at=at)) if at else []
    except SourceError:
        # What is wrong with the file is said when it is read.
        return {}
    return {"path": at, "lists": ", ".join(lists)}


class _Reader:
    """A parser that keeps the finished records of what it was fed. `seen` are the paths of the elements outside of
    records, the first few."""

    def __init__(self, steps: list[str], name: str, *, anchored: bool = False, encoding: str = "") -> None:
        self._steps, self._name, self._anchored = steps, name, anchored
        self.seen: dict[str, int] = {}
        self._path: list[str] = []
        self._open: list[tuple[dict[str, Any], list[str]]] = []
        self._done: list[Any] = []
        self._parser = expat.ParserCreate(encoding or None)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, chunk: bytes) -> list[Any]:
        self._parse(chunk, final=False)
        done, self._done = self._done, []
        return done

    def end(self) -> None:
        self._parse(b"", final=True)

    def _parse(self, chunk: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(chunk, final)
        except (expat.ExpatError, LookupError, ValueError) as error:
            line = self._parser.CurrentLineNumber
            raise SourceError(
                f"“{self._name}” is no sound XML at line {line}: {str(error).split(':')[0]}. Export it again.",
                code="source.xml",
                where=Where(line=line),
            ) from error

    def _refuse(self, *_: Any) -> None:
        raise SourceError(
            f"“{self._name}” declares a document type (DOCTYPE), which is not read: it could name other files or grow "
            "without bounds. Export the file without it.",
            code="source.doctype",
            where=Where(line=self._parser.CurrentLineNumber),
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(_local(tag))
        if len(self._path) > DEPTH_CAP:
            raise SourceError(f"“{self._name}” is nested more than {DEPTH_CAP} levels deep.", code="source.depth")
        if not self._open and not self._is_record():
            if len(self.seen) < 10 * LISTED:
                path = "/".join(self._path)
                self.seen[path] = self.seen.get(path, 0) + 1
            return
        named: dict[str, Any] = {}
        for attribute, value in attributes.items():
            if attribute == "xmlns" or attribute.startswith("xmlns:"):
                continue
            name = f"@{_local(attribute)}"
            if name in named:
                raise SourceError(
                    f"The element {_local(tag)} at line {self._parser.CurrentLineNumber} of “{self._name}” has two values "
                    f"named “{name}”.",
                    code="source.duplicate_name",
                    where=Where(line=self._parser.CurrentLineNumber),
                )
            named[name] = value
        self._open.append((named, []))

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def _end(self, _tag: str) -> None:
        name = self._path.pop()
        if not self._open:
            return
        values, texts = self._open.pop()
        text = "".join(texts)
        has_children = any(not key.startswith("@") for key in values)
        if has_children and text.strip():
            values[TEXT] = text.strip()
        elif text.strip():
            values[TEXT] = text
        # An element of text alone is its text; an empty one is blank.
        node: Any = values if values.keys() - {TEXT} else values.get(TEXT, "")
        if not self._open:
            self._done.append(node)
            return
        around = self._open[-1][0]
        if name not in around:
            around[name] = node
        elif isinstance(around[name], list):
            around[name].append(node)
        else:
            around[name] = [around[name], node]

    def _is_record(self) -> bool:
        if self._anchored:
            return self._path == self._steps
        return self._path[-len(self._steps) :] == self._steps


def _likely_path(path: Path) -> str:
    """Give the outermost element that comes more than once, or else the first child of the root."""
    reader = _Reader(["\0"], path.name)
    with path.open("rb") as file:
        for chunk in islice(iter(lambda: file.read(CHUNK_BYTES), b""), 16):
            reader.feed(chunk)
    several = [found for found, times in reader.seen.items() if times > 1]
    inner = [found for found in reader.seen if "/" in found]
    return min(several, key=lambda found: found.count("/"), default=inner[0] if inner else "")


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]


def _open_source(context: SourceContext) -> NestedSource:
    if context.file is None:
        raise DefinitionError("An XML source needs a file. Upload one, or name a connection that has it.")
    options = context.spec.options
    read = partial(
        records,
        context.file,
        context.file_name or context.file.name,
        at=str(options.get("path") or "").strip(),
        encoding=str(options.get("encoding") or ""),
    )
    return NestedSource(
        read,
        as_documents=options.get("shape") == "documents",
        lists=paths_of(options.get("lists")),
        declared=[column.name for column in context.spec.columns],
        look_up=context.look_up,
    )


KIND = SourceKind(
    key="xml",
    title="XML file",
    open=_open_source,
    guess=guess,
    takes_file=True,
    extensions=(".xml",),
    settings=(
        Setting(
            name="path",
            label="Path of the records",
            required=True,
            help="Such as orders/order, or order wherever it stands. /orders/order begins at the root.",
        ),
        Setting(
            name="lists",
            label="Lists inside a record",
            help="Elements that may come several times, such as lines.line: each gives a row, also where there is one.",
        ),
        SHAPE,
        Setting(
            name="encoding",
            label="Encoding",
            kind=FieldKind.CHOICE,
            choices=(("", "As the file says"), *ENCODINGS),
        ),
    ),
)
