"""JSON files: a list of records at a path, or one record a line (NDJSON). Streamed; numbers stay as they were written."""

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from integrations.connectors.delimited import ENCODINGS
from integrations.connectors.nested import DEPTH_CAP, SHAPE, NestedSource, RecordFile
from integrations.connectors.spec import FieldKind, Setting, SourceContext, SourceKind
from integrations.engine.errors import DefinitionError, SourceError

LISTED = 5
NOWHERE = "\0"
"""A path that no list has."""
OPENS: Mapping[str, Callable[[], Any]] = {"start_map": dict, "start_array": list}
CLOSES = frozenset({"end_map", "end_array"})

Events = Iterator[tuple[str, Any]]


def records(path: Path, name: str, *, at: str, by_lines: bool, encoding: str) -> Iterator[Any]:
    """Yield the records of a file. Raises `SourceError` for what is no JSON, and where no list stands at the path."""
    file = RecordFile(path, name, _codec(path, encoding))
    seen: list[str] = []
    count = 0
    try:
        events = iter(ijson.basic_parse(file, multiple_values=by_lines))
        for record in _each(events) if by_lines else _in_list(events, at, seen):
            file.found()
            count += 1
            yield record
    except (ijson.JSONError, ValueError) as error:
        said = str(error).strip().split("\n", 1)[0][:200]
        after = f"behind record {count:,}" if count else "at its beginning"
        raise SourceError(f"“{name}” is no sound JSON {after}: {said}. Export it again.", code="source.json") from error
    finally:
        file.close()
    if not by_lines and at not in seen:
        _refuse_no_list(name, at, seen)


def guess(path: Path) -> dict[str, Any]:
    """Give options that fit the start of a file: the first list of records, or one record a line."""
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
    try:
        several = len(list(islice(records(path, path.name, at="", by_lines=True, encoding=encoding), 2))) > 1
        lists = [] if several else _lists(path, encoding)
    except SourceError:
        # What is wrong with the file is said when it is read.
        return {"encoding": encoding}
    return {"encoding": encoding, "form": "lines" if several else "list", "path": lists[0] if lists else ""}


def _lists(path: Path, encoding: str) -> list[str]:
    """Name the paths of the lists in a file."""
    file, seen = RecordFile(path, path.name, _codec(path, encoding)), list[str]()
    try:
        for _ in _in_list(iter(ijson.basic_parse(file)), NOWHERE, seen):
            pass
    except (ijson.JSONError, ValueError) as error:
        raise SourceError(f"“{path.name}” is no sound JSON. Export it again.", code="source.json") from error
    finally:
        file.close()
    return seen


def _each(events: Events) -> Iterator[Any]:
    for event, value in events:
        yield _value(event, value, events)


def _in_list(events: Events, at: str, seen: list[str]) -> Iterator[Any]:
    """Yield what stands in the list at a path. The paths of all lists outside of others are added to `seen`."""
    names: list[str] = []
    for event, value in events:
        if event == "map_key":
            names[-1] = value
        elif event == "start_map":
            names.append("")
            _see_how_deep(names)
        elif event == "end_map":
            names.pop()
        elif event == "start_array":
            path = ".".join(names)
            seen.append(path)
            for event, value in events:
                if event == "end_array":
                    break
                if path == at:
                    yield _value(event, value, events)
                else:
                    _skip(event, events)


def _value(event: str, value: Any, events: Events) -> Any:
    """Build the value that begins with `event`, level by level: none is so deep that it could end the process."""
    if event not in OPENS:
        return value
    root: Any = OPENS[event]()
    inside, names = [root], [""]
    for event, value in events:
        if event == "map_key":
            names[-1] = value
            continue
        if event in CLOSES:
            inside.pop()
            names.pop()
            if not inside:
                break
            continue
        node = OPENS[event]() if event in OPENS else value
        if isinstance(inside[-1], dict):
            inside[-1][names[-1]] = node
        else:
            inside[-1].append(node)
        if event in OPENS:
            inside.append(node)
            names.append("")
            _see_how_deep(inside)
    return root


def _skip(event: str, events: Events) -> None:
    depth = int(event in OPENS)
    while depth:
        event, _ = next(events)
        depth += (event in OPENS) - (event in CLOSES)


def _see_how_deep(levels: Sequence[Any]) -> None:
    if len(levels) > DEPTH_CAP:
        raise SourceError(f"A record is nested more than {DEPTH_CAP} levels deep.", code="source.depth")


def _codec(path: Path, encoding: str) -> str:
    """Name the codec to translate from; none is needed for UTF-8 without a mark."""
    name = codecs.lookup(encoding or "utf-8").name
    if name != "utf-8":
        return name
    with path.open("rb") as file:
        return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else ""


def _refuse_no_list(name: str, at: str, seen: Sequence[str]) -> None:
    where = f"at “{at}”" if at else "at its top"
    there = ", ".join(f"“{path}”" if path else "its top" for path in list(dict.fromkeys(seen))[:LISTED])
    raise SourceError(
        f"“{name}” has no list of records {where}. "
        + (f"Lists stand at {there}: correct the path on the Source tab." if there else "It has no list at all."),
        code="source.json_path",
    )


def _open_source(context: SourceContext) -> NestedSource:
    if context.file is None:
        raise DefinitionError("A JSON source needs a file. Upload one, or name a connection that has it.")
    options = context.spec.options
    encoding = str(options.get("encoding") or "utf-8")
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise DefinitionError(f"“{encoding}” is no known encoding. Choose one from the list.") from None
    read = partial(
        records,
        context.file,
        context.file_name or context.file.name,
        at=str(options.get("path") or "").strip().strip("."),
        by_lines=options.get("form") == "lines",
        encoding=encoding,
    )
    return NestedSource(
        read,
        as_documents=options.get("shape") == "documents",
        declared=[column.name for column in context.spec.columns],
        look_up=context.look_up,
    )


KIND = SourceKind(
    key="json",
    title="JSON file",
    open=_open_source,
    guess=guess,
    takes_file=True,
    extensions=(".json", ".ndjson", ".jsonl"),
    settings=(
        Setting(
            name="form",
            label="Records",
            kind=FieldKind.CHOICE,
            default="list",
            choices=(("list", "A list of records"), ("lines", "One record after another (NDJSON)")),
        ),
        Setting(
            name="path",
            label="Path of the list",
            help="Such as data.customers; empty where the whole file is the list.",
        ),
        SHAPE,
        Setting(name="encoding", label="Encoding", kind=FieldKind.CHOICE, default="utf-8", choices=ENCODINGS),
    ),
)
