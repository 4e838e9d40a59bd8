"""Documents become records: given their additional columns, cut into lines, restricted and computed in one crossing to
the scripts, mapped, typed.

Fields are mapped a column at a time over the whole batch; a value that does not fit costs its own document only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, compress
from typing import Any

from integrations.engine.batch import Bucket, Document, LineRecords, MappedBatch, Problem, Record, Row
from integrations.engine.dates import DATED, calculator
from integrations.engine.errors import DefinitionError, RecordError, Where
from integrations.engine.inputs import Inputs, Table
from integrations.engine.lines import Cutter, problem_of
from integrations.engine.lookups import Finder
from integrations.engine.order import order_of
from integrations.engine.plan import (
    ColumnType,
    DateCalculation,
    FieldMap,
    Line,
    NoMatch,
    ParentColumn,
    Plan,
    ValueType,
    WithoutParent,
)
from integrations.engine.ports import Computed, Fault, Found, Scripts
from integrations.engine.secure import is_handle
from integrations.engine.typed import Convert, as_text, converter

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
    """Maps batches of documents under one plan. `scripts` is needed where the plan has scripts.

    A field of a global variable has the value that it has once the scripts of the batch are done; `order_of` says how
    large a batch may be for that.
    """

    def __init__(
        self, plan: Plan, columns: Sequence[str], scripts: Scripts | None, inputs: Inputs | None = None
    ) -> None:
        if plan.has_scripts and scripts is None:
            raise DefinitionError("This integration has scripts, and nothing to evaluate them was opened.")
        self._plan = plan
        self._scripts = scripts if plan.has_scripts else None
        self._width = len(columns)
        everything = [*columns, *plan.additional_names]
        self._cutters = [Cutter(plan, line, everything) for line in plan.lines]
        forms = {column.name: column.format for column in plan.source.columns}
        types = {column.name: column.type for column in plan.source.columns}
        types |= {item.target: item.type for item in plan.additional}
        inputs = inputs or Inputs()
        self._calculated = sum(item.column_type is ColumnType.CALCULATION for item in plan.additional)
        self._additional = [
            _Field(item, everything[: self._width + at], forms, place, inputs, types, f"/{item.target}")
            for at, (item, place) in enumerate((item, min(place, 0)) for item, place in _placed(plan.additional))
        ]
        self._fields = [
            [
                _Field(item, everything, forms, place, inputs, types, f"{line.name}/{item.target}")
                for item, place in _placed(line.fields)
            ]
            for line in plan.lines
        ]
        self._forgets = order_of(plan).send_singly

    def map(self, documents: Sequence[Document]) -> MappedBatch:
        """Give the batch to send. `parts` of a document with a problem hold what could be mapped of it."""
        if self._forgets:
            # A task of the document before may have changed what is found.
            for item in chain(self._additional, *self._fields):
                item.forget()
        problems: dict[int, Problem] = {i: d.problem for i, d in enumerate(documents) if d.problem is not None}
        if self._additional:
            self._widen(documents, problems)
        cuts = self._cut(documents, problems)
        if self._scripts is not None:
            cuts = self._scripted(self._scripts, documents, cuts, problems)
        cuts = [self._looked_up(index, cut) for index, cut in enumerate(cuts)]
        sent = [False] * len(documents)
        for cut in cuts:
            for owner in cut.owners:
                sent[owner] = True
        columns = [self._mapped(index, cut, problems) for index, cut in enumerate(cuts)]
        self._number(documents, cuts, columns, problems)
        verdicts: list[Bucket | None] = [None if found else Bucket.RESTRICTED for found in sent]
        for index in problems:
            verdicts[index] = Bucket.FAILED
        parts: dict[int, list[dict[str, Any]]] = {}
        lines = [
            self._records(index, cut, mapped, problems, parts)
            for index, (cut, mapped) in enumerate(zip(cuts, columns, strict=True))
        ]
        return MappedBatch(documents=documents, lines=lines, verdicts=verdicts, problems=problems, parts=parts)

    def _widen(self, documents: Sequence[Document], problems: dict[int, Problem]) -> None:
        """Compute the additional columns of every row, one column after the other."""
        cut = _Cut()
        blank = [""] * len(self._additional)
        for index, document in enumerate(documents):
            if document.problem is None:
                document.wide = [[*row, *blank] for row in document.rows]
                cut.rows += document.wide
                cut.owners += [index] * len(document.rows)
                cut.numbers += document.row_numbers
        calculated = 0
        for place, item in enumerate(self._additional, start=self._width):
            if item.is_calculated:
                cut.computed = self._calculate(calculated, cut, problems)
                calculated += 1
            values = _once(item, documents, cut, problems) if item.is_numbered else item.column(cut, problems)
            for row, value in zip(cut.rows, values, strict=True):
                row[place] = value if isinstance(value, str) else _as_source_text(value)

    def _number(
        self,
        documents: Sequence[Document],
        cuts: list[_Cut],
        columns: list[list[list[Any]]],
        problems: dict[int, Problem],
    ) -> None:
        """Give rolling numbers to the records of documents without a problem, once every other value is known."""
        for fields, cut, values in zip(self._fields, cuts, columns, strict=True):
            for place, item in enumerate(fields):
                if item.is_numbered:
                    wanted = [index for index, owner in enumerate(cut.owners) if owner not in problems]
                    taken = item.numbers([(documents[cut.owners[i]].number, cut.numbers[i]) for i in wanted])
                    for index, number in zip(wanted, taken, strict=True):
                        values[place][index] = item.one(number, index, cut, problems)

    def _calculate(self, place: int, cut: _Cut, problems: dict[int, Problem]) -> list[Sequence[Any]]:
        """Ask the calculation of an additional column about every row, each on its own."""
        assert self._scripts is not None
        before: list[list[Row]] = [[] for _ in range(place)]
        behind: list[list[Row]] = [[] for _ in range(self._calculated - place - 1 + len(self._plan.lines))]
        answers = self._scripts.evaluate([[*before, [row], *behind] for row in cut.rows])
        values: list[Sequence[Any]] = []
        for owner, answer in zip(cut.owners, answers, strict=True):
            if isinstance(answer, Fault):
                problems.setdefault(owner, _faulted(answer))
                values.append([None])
            else:
                values.append(answer[place][0].values)
        return values

    def _looked_up(self, line: int, cut: _Cut) -> _Cut:
        """Leave out the records that a lookup leaves out."""
        stays = [True] * len(cut.rows)
        for item in self._fields[line]:
            for index, found in enumerate(item.found(cut) if item.may_leave_out else ()):
                stays[index] = stays[index] and not item.leaves_out(found)
        if all(stays):
            return cut
        return _Cut(
            rows=list(compress(cut.rows, stays)),
            owners=list(compress(cut.owners, stays)),
            numbers=list(compress(cut.numbers, stays)),
            computed=list(compress(cut.computed, stays)),
            restricted=cut.restricted + stays.count(False),
        )

    def _cut(self, documents: Sequence[Document], problems: dict[int, Problem]) -> list[_Cut]:
        return [self._cut_line(cutter, documents, problems) for cutter in self._cutters]

    def _cut_line(self, cutter: Cutter, documents: Sequence[Document], problems: dict[int, Problem]) -> _Cut:
        cut = _Cut()
        for index, document in enumerate(documents):
            if index not in problems:
                try:
                    rows, numbers = cutter.cut(document)
                except RecordError as error:
                    problems.setdefault(index, problem_of(error))
                else:
                    cut.rows += rows
                    cut.owners += [index] * len(rows)
                    cut.numbers += numbers
            cut.starts.append(len(cut.rows))
        return cut

    def _scripted(
        self, scripts: Scripts, documents: Sequence[Document], cuts: list[_Cut], problems: dict[int, Problem]
    ) -> list[_Cut]:
        """Ask the scripts about every document without a problem, in one crossing; keep the records they let pass."""
        asked = [index for index in range(len(documents)) if index not in problems]
        kept = [_Cut() for _ in cuts]
        nothing: list[list[Row]] = [[] for _ in range(self._calculated)]
        answers = scripts.evaluate(
            [[*nothing, *(cut.rows[cut.starts[index] : cut.starts[index + 1]] for cut in cuts)] for index in asked]
        )
        for index, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Fault):
                problems[index] = _faulted(answer)
                continue
            for cut, keep, computed in zip(cuts, kept, answer[self._calculated :], strict=True):
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


def joined(batches: Sequence[MappedBatch]) -> MappedBatch:
    """Put consecutive mapped batches together into one segment."""
    if len(batches) == 1:
        return batches[0]
    whole = batches[0]
    all_documents = list(whole.documents)
    for batch in batches[1:]:
        shift = len(all_documents)
        all_documents += batch.documents
        whole.verdicts += batch.verdicts
        whole.problems |= {index + shift: problem for index, problem in batch.problems.items()}
        whole.parts |= {index + shift: parts for index, parts in batch.parts.items()}
        for line, more in zip(whole.lines, batch.lines, strict=True):
            line.records += more.records
            line.owners += [owner + shift for owner in more.owners]
            line.restricted += more.restricted
    whole.documents = all_documents
    return whole


def part(line: Line, record: Record) -> dict[str, Any]:
    """Give one mapped record as the ledger keeps it for repair."""
    return {
        "line": line.name,
        "values": {item.target: value for item, value in zip(line.fields, record, strict=True)},
    }


def _placed(fields: Sequence[FieldMap]) -> Iterator[tuple[FieldMap, int]]:
    """Pair each field with the place of its value among the computed ones (-1 for the others)."""
    place = 0
    for item in fields:
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


def _once(item: "_Field", documents: Sequence[Document], cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
    """Give each document without a problem one number, which all of its rows share."""
    wanted = [index for index in dict.fromkeys(cut.owners) if index not in problems]
    taken = item.numbers([(documents[index].number, documents[index].row_numbers[0]) for index in wanted])
    by_owner = dict(zip(wanted, taken, strict=True))
    return [by_owner.get(owner, "") for owner in cut.owners]


def _as_source_text(value: Any) -> str:
    """Give a computed value as a column of the source would hold it."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, date) else str(as_text(value) or "")


def _faulted(fault: Fault) -> Problem:
    return Problem(
        sentence=fault.sentence,
        cause=fault.sentence,
        code=fault.code,
        where=Where(stage="script", column=fault.column, line=fault.line),
    )


def _table_of(spec: FieldMap, inputs: Inputs) -> Table | None:
    """Give the table of a translated field that says all it needs."""
    if spec.column_type is not ColumnType.TRANSLATION or not spec.value or not spec.translation:
        return None
    if not spec.translation.table:
        return None
    table = inputs.tables.get(spec.translation.table)
    if table is None:
        raise DefinitionError(
            f"The translation table of {spec.target} no longer exists. Choose another one in the mapping.",
            code="definition.translation",
            where=Where(stage="map", column=spec.target),
        )
    return table


def without_parent(spec: FieldMap) -> DefinitionError:
    """Say that a field takes a value of the parent's document, and there is none."""
    return DefinitionError(
        f"{spec.target} takes {spec.value} of the parent's document, and this run has none with that column. Run the "
        "process as a task of its parent, or give the field a default in the mapping.",
        code="definition.parent_column",
        where=Where(stage="map", column=spec.target),
    )


class _Field:
    """One target field of a line, ready to be computed for many records at once."""

    def __init__(
        self,
        spec: FieldMap,
        columns: Sequence[str],
        forms: dict[str, str],
        place: int,
        inputs: Inputs,
        types: dict[str, ValueType],
        at: str,
    ) -> None:
        self._spec = spec
        self._place = place
        self._numbers, self._at = inputs.numbers, at
        self._source = -1
        form = spec.format
        self._table = _table_of(spec, inputs)
        if missing := next((name for name in spec.columns if name not in columns), ""):
            raise DefinitionError(
                f"{spec.target} reads {missing}, which is no column of the source and no additional column before it. "
                "Correct it in the mapping.",
                code="definition.column",
                where=Where(stage="map", column=spec.target),
            )
        if spec.column and (self._table or spec.column_type is not ColumnType.TRANSLATION):
            self._source = columns.index(spec.column)
            form = form or forms.get(spec.column, "")
        self._convert = converter(spec.type, form)
        # What a table says is not written in the form of the source's column.
        self._convert_translated = converter(spec.type, spec.format)
        self._variables = inputs.variables
        self._variable = spec.value if spec.column_type is ColumnType.GLOBAL_VARIABLE else ""
        if gone := next((name for name in spec.variables if name not in inputs.variables.names), ""):
            raise DefinitionError(
                f"{spec.target} takes {gone}, and there is no such global variable. Correct it in the mapping.",
                code="definition.variable",
                where=Where(stage="map", column=spec.target),
            )
        if self._variable and self._convert and is_handle(inputs.variables.value(self._variable)):
            raise DefinitionError(
                f"{spec.target} is {spec.type} and takes {self._variable}, whose value is secure: it goes into text "
                "alone. Correct it in the mapping.",
                code="definition.variable",
                where=Where(stage="map", column=spec.target),
            )
        self._given: str | None = None
        if spec.column_type is ColumnType.PARENT_COLUMN and spec.value:
            self._take_from_parent(spec, columns, forms, inputs)
        is_lookup = spec.column_type is ColumnType.LOOKUP and spec.lookup is not None and spec.lookup.is_complete
        self._finder = Finder(spec, columns, inputs) if is_lookup else None
        self._constant: Any = None
        if spec.column_type is ColumnType.DATE_CALCULATION:
            self._calculate_dates(spec, forms, types, inputs)
        if spec.column_type is ColumnType.LIST_OPTION and spec.value and spec.value not in spec.choices:
            raise DefinitionError(
                f"“{spec.value[:SHOWN]}” is no option of {spec.target}. Choose one in the mapping.",
                code="definition.option",
                where=Where(stage="map", column=spec.target),
            )
        if spec.column_type in (ColumnType.CONSTANT, ColumnType.LIST_OPTION):
            what = "constant" if spec.column_type is ColumnType.CONSTANT else "option"
            try:
                self._constant = self._convert(spec.value) if self._convert else spec.value
            except ValueError as error:
                raise DefinitionError(
                    f"The {what} “{spec.value[:SHOWN]}” of {spec.target} is not {error}. Correct it in the mapping.",
                    code="definition.constant",
                    where=Where(stage="map", column=spec.target),
                ) from None

    def _take_from_parent(self, spec: FieldMap, columns: Sequence[str], forms: dict[str, str], inputs: Inputs) -> None:
        """Have one value for all records, where a document of the parent started the run; each row's own where the rows
        are the parent's."""
        parent, how = inputs.parent, spec.parent or ParentColumn()
        form = spec.format or forms.get(spec.value, "")
        if parent.document is not None and spec.value in parent.document:
            self._given, self._convert = parent.document[spec.value], converter(spec.type, form)
        elif parent.gives_rows and spec.value in columns:
            self._source, self._convert = columns.index(spec.value), converter(spec.type, form)
        elif how.alone is WithoutParent.DEFAULT:
            self._given = how.default
        else:
            raise without_parent(spec)

    def _calculate_dates(
        self, spec: FieldMap, forms: dict[str, str], types: dict[str, ValueType], inputs: Inputs
    ) -> None:
        """Have source dates calculated as they are converted; one of the start of the run is calculated once."""
        if spec.type not in DATED:
            raise DefinitionError(
                f"{spec.target} is {spec.type}, and a date calculation gives a date. Correct it in the mapping.",
                code="definition.date",
                where=Where(stage="map", column=spec.target),
            )
        how = spec.date or DateCalculation()
        if how.of_start:
            try:
                self._constant = calculator(how, spec.type, lambda start: start)(inputs.started_at)
            except ValueError as error:
                raise DefinitionError(
                    f"{spec.target} is not {error}. Correct it in the mapping.",
                    code="definition.date",
                    where=Where(stage="map", column=spec.target),
                ) from None
        else:
            kind = ValueType.DATE if types.get(spec.column) is ValueType.DATE else ValueType.DATETIME
            read = converter(kind, spec.format or forms.get(spec.column, ""))
            assert read is not None
            self._convert = calculator(how, spec.type, read)

    @property
    def is_calculated(self) -> bool:
        return self._spec.column_type is ColumnType.CALCULATION

    @property
    def is_numbered(self) -> bool:
        """True for a rolling number that says its sequence."""
        return self._spec.column_type is ColumnType.ROLLING_NUMBER and bool(self._spec.sequence)

    def numbers(self, wanted: Sequence[tuple[int, int]]) -> Sequence[str]:
        """Take a number for each (document, row)."""
        assert self._numbers is not None
        return self._numbers.take(self._spec.sequence, self._at, wanted) if wanted else ()

    def one(self, number: str, index: int, cut: _Cut, problems: dict[int, Problem]) -> Any:
        """Give a number as the type of the field."""
        return self._one(number, index, cut, problems, self._convert)

    @property
    def may_leave_out(self) -> bool:
        """True when a record may be left out for what is looked up for it."""
        return self._finder is not None and self._finder.how.restricts

    def forget(self) -> None:
        """Look up anew what was looked up."""
        if self._finder is not None:
            self._finder.forget()

    def found(self, cut: _Cut) -> list[Found]:
        """Look up what is there for each record."""
        assert self._finder is not None
        return self._finder.find(cut.rows)

    def leaves_out(self, found: Found) -> bool:
        return self._finder is not None and self._finder.leaves_out(found)

    @property
    def _name(self) -> str:
        """What a problem with a value is told of: where it comes from, if that has a name."""
        has_name = self._source >= 0 or self._variable or self._given is not None
        return self._spec.value if has_name else self._spec.target

    def column(self, cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        """Give this field's value for every record; what does not fit is None and a problem of its document."""
        raw: list[Any]
        if self._table is not None:
            values = self._translated(self._table, cut, problems)
        elif self._finder is not None:
            values = self._taken(self._finder, cut, problems)
        elif self._source >= 0:
            source = self._source
            raw = [row[source] for row in cut.rows]
            values = self._converted(raw, cut, problems) if self._convert else raw
        elif self._place >= 0:
            place = self._place
            raw = [computed[place] for computed in cut.computed]
            values = self._converted(raw, cut, problems) if self._convert else list(map(as_text, raw))
        elif self._variable:
            raw = [self._variables.value(self._variable)] * len(cut.rows)
            values = self._converted(raw, cut, problems) if self._convert else list(map(as_text, raw))
        elif self._given is not None:
            raw = [self._given] * len(cut.rows)
            values = self._converted(raw, cut, problems) if self._convert else raw
        else:
            values = raw = [self._constant] * len(cut.rows)
        # A number is there once its document is known to need one.
        if self._spec.required and not self.is_numbered:
            self._demand(values, cut, problems)
        return values

    def _converted(self, raw: list[Any], cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        convert = self._convert
        assert convert is not None
        try:
            return list(map(convert, raw))
        except ValueError:
            return [self._one(value, index, cut, problems, convert) for index, value in enumerate(raw)]

    def _taken(self, finder: Finder, cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        """Give what was found for each record, or what stands for nothing or too much."""
        values = []
        for index, found in enumerate(finder.find(cut.rows)):
            value = finder.how.default if finder.takes_default(found) else found.value
            if not finder.takes_default(found):
                sentence, cause = finder.complaint(found, cut.rows[index], cut.numbers[index])
                if sentence:
                    where = Where(stage="map", column=next(iter(self._spec.columns), self._spec.target))
                    problem = Problem(sentence=sentence, cause=cause, code="record.lookup", where=where)
                    problems.setdefault(cut.owners[index], problem)
                    value = None
            values.append(self._one(value, index, cut, problems, self._convert, f"looked up in {finder.how.table}"))
        return values

    def _translated(self, table: Table, cut: _Cut, problems: dict[int, Problem]) -> list[Any]:
        """Give what the table makes of each value, exactly as it is written there; blank is a value like any other."""
        source = self._source
        found = [table.rows.get(row[source]) for row in cut.rows]
        if self._convert_translated is None and None not in found:
            return found
        values = []
        for index, value in enumerate(found):
            if value is None:
                values.append(self._unmatched(table, cut.rows[index][source], index, cut, problems))
            else:
                values.append(
                    self._one(value, index, cut, problems, self._convert_translated, f"translated by {table.name}")
                )
        return values

    def _unmatched(self, table: Table, value: str, index: int, cut: _Cut, problems: dict[int, Problem]) -> Any:
        assert self._spec.translation is not None
        match self._spec.translation.no_match:
            case NoMatch.KEEP:
                return self._one(value, index, cut, problems, self._convert)
            case NoMatch.BLANK:
                return self._one("", index, cut, problems, self._convert)
            case NoMatch.DEFAULT:
                return self._one(
                    self._spec.translation.default,
                    index,
                    cut,
                    problems,
                    self._convert_translated,
                    f"translated by {table.name}",
                )
        column, number = self._spec.column, cut.numbers[index]
        what = f"“{value[:SHOWN]}” in {column} of row {number}" if value else f"The blank {column} of row {number}"
        problems.setdefault(
            cut.owners[index],
            Problem(
                sentence=f"{what} is not in the translation table {table.name}.",
                cause=f"{column} holds what the translation table {table.name} does not have",
                code="record.translation",
                where=Where(stage="map", column=column),
            ),
        )
        return None

    def _one(
        self,
        value: Any,
        index: int,
        cut: _Cut,
        problems: dict[int, Problem],
        convert: Convert | None,
        by: str = "",
    ) -> Any:
        """Convert one value; `by` says which table made it of what stands in the source."""
        if convert is None:
            return value
        try:
            return convert(value)
        except ValueError as error:
            name = f"{self._name} ({by})" if by else self._name
            shown = value if isinstance(value, str) else as_text(value)
            target = self._spec.target
            needs = "" if target.casefold() == self._name.casefold() else f", which {target} needs"
            problems.setdefault(
                cut.owners[index],
                Problem(
                    sentence=f"“{str(shown)[:SHOWN]}” in {name} of row {cut.numbers[index]} is not {error}{needs}.",
                    cause=f"{name} is not {error}",
                    code="record.type",
                    where=Where(stage="map", column=self._name),
                ),
            )
            return None

    def _demand(self, values: list[Any], cut: _Cut, problems: dict[int, Problem]) -> None:
        for index, value in enumerate(values):
            if value is None or (isinstance(value, str) and not value.strip()):
                name = self._name
                problems.setdefault(
                    cut.owners[index],
                    Problem(
                        sentence=f"{name} is blank in row {cut.numbers[index]}, and {self._spec.target} is required.",
                        cause=f"{name} is blank, and {self._spec.target} is required",
                        code="record.required",
                        where=Where(stage="map", column=name),
                    ),
                )
