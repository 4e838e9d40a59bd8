"""Documents become records: cut into lines, restricted and computed in one crossing to the scripts, mapped, typed.

Fields are mapped a column at a time over the whole batch; a value that does not fit costs its own document only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from integrations.engine.batch import Bucket, Document, LineRecords, MappedBatch, Problem, Record, Row
from integrations.engine.errors import DefinitionError, RecordError, Where
from integrations.engine.lines import Cutter, problem_of
from integrations.engine.plan import ColumnType, FieldMap, Line, Plan
from integrations.engine.ports import Computed, Fault, Scripts
from integrations.engine.typed import as_text, converter

SHOWN = 80


@dataclass(slots=True)
class _Cut:
    """The records of one line before they are mapped: `owners[i]` is the document of `rows[i]`.

    The rows of document n are those from `starts[n]` up to `starts[n + 1]`, while nothing was left out.
    """

    rows: list[Row] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    computed: list[Sequence[Any]] = field(default_factory=list)
    restricted: int = 0
    starts: list[int] = field(default_factory=lambda: [0])


class Mapper:
    """Maps batches of documents under one plan. `scripts` is needed where the plan has scripts."""

    def __init__(self, plan: Plan, columns: Sequence[str], scripts: Scripts | None) -> None:
        if plan.has_scripts and scripts is None:
            raise DefinitionError("This integration has scripts, and nothing to evaluate them was opened.")
        self._plan = plan
        self._scripts = scripts if plan.has_scripts else None
        self._cutters = [Cutter(plan, line, columns) for line in plan.lines]
        forms = {column.name: column.format for column in plan.source.columns}
        self._fields = [[_Field(item, columns, forms, place) for item, place in _placed(line)] for line in plan.lines]

    def map(self, documents: Sequence[Document]) -> MappedBatch:
        """Give the batch to send. `parts` of a document with a problem hold what could be mapped of it."""
        problems: dict[int, Problem] = {i: d.problem for i, d in enumerate(documents) if d.problem is not None}
        cuts = self._cut(documents, problems)
        if self._scripts is not None:
            cuts = self._scripted(self._scripts, documents, cuts, problems)
        sent = [False] * len(documents)
        for cut in cuts:
            for owner in cut.owners:
                sent[owner] = True
        columns = [self._mapped(index, cut, problems) for index, cut in enumerate(cuts)]
        verdicts: list[Bucket | None] = [None if found else Bucket.RESTRICTED for found in sent]
        for index in problems:
            verdicts[index] = Bucket.FAILED
        parts: dict[int, list[dict[str, Any]]] = {}
        lines = [
            self._records(index, cut, mapped, problems, parts)
            for index, (cut, mapped) in enumerate(zip(cuts, columns, strict=True))
        ]
        return MappedBatch(documents=documents, lines=lines, verdicts=verdicts, problems=problems, parts=parts)

    def _cut(self, documents: Sequence[Document], problems: dict[int, Problem]) -> list[_Cut]:
        return [self._cut_line(cutter, documents, problems) for cutter in self._cutters]

    def _cut_line(self, cutter: Cutter, documents: Sequence[Document], problems: dict[int, Problem]) -> _Cut:
        cut = _Cut()
        for index, document in enumerate(documents):
            if document.problem is None:
                try:
                    rows = cutter.cut(document)
                except RecordError as error:
                    problems.setdefault(index, problem_of(error))
                else:
                    cut.rows += rows
                    cut.owners += [index] * len(rows)
                    cut.numbers += document.row_numbers[: len(rows)]
            cut.starts.append(len(cut.rows))
        return cut

    def _scripted(
        self, scripts: Scripts, documents: Sequence[Document], cuts: list[_Cut], problems: dict[int, Problem]
    ) -> list[_Cut]:
        """Ask the scripts about every document without a problem, in one crossing; keep the records they let pass."""
        asked = [index for index in range(len(documents)) if index not in problems]
        kept = [_Cut() for _ in cuts]
        answers = scripts.evaluate(
            [[cut.rows[cut.starts[index] : cut.starts[index + 1]] for cut in cuts] for index in asked]
        )
        for index, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Fault):
                problems[index] = _faulted(answer)
                continue
            for cut, keep, computed in zip(cuts, kept, answer, strict=True):
                _keep(keep, cut, index, computed)
        return kept

    def _mapped(self, line: int, cut: _Cut, problems: dict[int, Problem]) -> list[list[Any]]:
        return [item.column(cut, problems) for item in self._fields[line]]

    def _records(
        self,
        line: int,
        cut: _Cut,
        columns: list[list[Any]],
        problems: dict[int, Problem],
        parts: dict[int, list[dict[str, Any]]],
    ) -> LineRecords:
        """Put the columns back into records; those of failed documents go to `parts`, for repair."""
        records: list[Record] = list(map(list, zip(*columns, strict=True))) if columns else [[] for _ in cut.rows]
        if not problems:
            return LineRecords(records=records, owners=cut.owners, restricted=cut.restricted)
        stays = [owner not in problems for owner in cut.owners]
        if not all(stays):
            spec = self._plan.lines[line]
            for record, owner, stay in zip(records, cut.owners, stays, strict=True):
                if not stay:
                    parts.setdefault(owner, []).append(part(spec, record))
        return LineRecords(
            records=list(compress(records, stays)), owners=list(compress(cut.owners, stays)), restricted=cut.restricted
        )


def withdraw(plan: Plan, batch: MappedBatch, stopped: Mapping[int, Bucket]) -> None:
    """Take documents out of a batch before it is sent: each ends in the bucket given for it."""
    for line, spec in zip(batch.lines, plan.lines, strict=True):
        stays = [owner not in stopped for owner in line.owners]
        for record, owner, stay in zip(line.records, line.owners, stays, strict=True):
            if stay:
                continue
            if stopped[owner] is Bucket.FAILED:
                batch.parts.setdefault(owner, []).append(part(spec, record))
            else:
                line.restricted += 1
        line.records, line.owners = list(compress(line.records, stays)), list(compress(line.owners, stays))
    for index, bucket in stopped.items():
        batch.verdicts[index] = bucket


def part(line: Line, record: Record) -> dict[str, Any]:
    """Give one mapped record as the ledger keeps it for repair."""
    return {
        "line": line.name,
        "values": {item.target: value for item, value in zip(line.fields, record, strict=True)},
    }


def _placed(line: Line) -> Iterator[tuple[FieldMap, int]]:
    """Pair each field with the place of its value among the line's computed ones (-1 for the others)."""
    place = 0
    for item in line.fields:
        if item.column_type is ColumnType.CALCULATION:
            yield item, place
            place += 1
        else:
            yield item, -1


def _keep(keep: _Cut, cut: _Cut, owner: int, computed: list[Computed]) -> None:
    for place, answer in enumerate(computed, cut.starts[owner]):
        if not answer.send:
            keep.restricted += 1
            continue
        keep.rows.append(cut.rows[place])
        keep.owners.append(owner)
        keep.numbers.append(cut.numbers[place])
        keep.computed.append(answer.values)


def _faulted(fault: Fault) -> Problem:
    return Problem(
        sentence=fault.sentence,
        cause=fault.sentence,
        code=fault.code,
        where=Where(stage="script", column=fault.column, line=fault.line),
    )


class _Field:
    """One target field of a line, ready to be computed for many records at once."""

    def __init__(self, spec: FieldMap, columns: Sequence[str], forms: dict[str, str], place: int) -> None:
        self._spec = spec
        self._place = place
        self._source = -1
        form = spec.format
        if spec.column_type is ColumnType.SOURCE_COLUMN and spec.value:
            self._source = columns.index(spec.value)
            form = form or forms.get(spec.value, "")
        self._convert = converter(spec.type, form)
        self._constant: Any = None
        if spec.column_type is ColumnType.CONSTANT:
            try:
                self._constant = self._convert(spec.value) if self._convert else spec.value
            except ValueError as error:
                raise DefinitionError(
                    f"The constant “{spec.value[:SHOWN]}” of {spec.target} is not {error}. Correct it in the mapping.",
                    code="definition.constant",
                    where=Where(stage="map", column=spec.target),
                ) from None

    def column(self, cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        """Give this field's value for every record; what does not fit is None and a problem of its document."""
        raw: list[Any]
        if self._source >= 0:
            source = self._source
            raw = [row[source] for row in cut.rows]
            values = self._converted(raw, cut, problems) if self._convert else raw
        elif self._place >= 0:
            place = self._place
            raw = [computed[place] for computed in cut.computed]
            values = self._converted(raw, cut, problems) if self._convert else list(map(as_text, raw))
        else:
            values = raw = [self._constant] * len(cut.rows)
        if self._spec.required:
            self._demand(values, cut, problems)
        return values

    def _converted(self, raw: list[Any], cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        convert = self._convert
        assert convert is not None
        try:
            return list(map(convert, raw))
        except ValueError:
            return [self._one(value, index, cut, problems) for index, value in enumerate(raw)]

    def _one(self, value: Any, index: int, cut: _Cut, problems: dict[int, Problem]) -> Any:
        assert self._convert is not None
        try:
            return self._convert(value)
        except ValueError as error:
            name = self._spec.value if self._source >= 0 else self._spec.target
            shown = value if isinstance(value, str) else as_text(value)
            problems.setdefault(
                cut.owners[index],
                Problem(
                    sentence=f"“{str(shown)[:SHOWN]}” in {name} of row {cut.numbers[index]} is not {error}.",
                    cause=f"{name} is not {error}",
                    code="record.type",
                    where=Where(stage="map", column=name),
                ),
            )
            return None

    def _demand(self, values: list[Any], cut: _Cut, problems: dict[int, Problem]) -> None:
        for index, value in enumerate(values):
            if value is None or (isinstance(value, str) and not value.strip()):
                name = self._spec.value if self._source >= 0 else self._spec.target
                problems.setdefault(
                    cut.owners[index],
                    Problem(
                        sentence=f"{name} is blank in row {cut.numbers[index]}, and {self._spec.target} is required.",
                        cause=f"{name} is blank, and {self._spec.target} is required",
                        code="record.required",
                        where=Where(stage="map", column=name),
                    ),
                )
