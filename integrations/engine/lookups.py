"""Values that are looked up: asked for a batch of records at once, and not again for what is known already."""

from collections.abc import Sequence
from itertools import islice

from integrations.engine.batch import Row
from integrations.engine.errors import DefinitionError, Where
from integrations.engine.inputs import Inputs
from integrations.engine.plan import FieldMap, Lookup, ManyFound, Match, NoneFound
from integrations.engine.ports import Found
from integrations.engine.secure import is_handle
from integrations.engine.variables import text_of

KEPT = 50_000
"""Answers that a field keeps: what was asked longest ago is forgotten first."""
SHOWN = 80

Key = tuple[str, ...]


class Finder:
    """Looks up the values of one field. What it found once it does not ask again until it is told to forget."""

    def __init__(self, spec: FieldMap, columns: Sequence[str], inputs: Inputs) -> None:
        how = spec.lookup
        if how is None or inputs.lookups is None:
            raise _incomplete(spec)
        if secure := next((n for n in spec.variables if is_handle(inputs.variables.value(n))), ""):
            raise DefinitionError(
                f"The lookup of {spec.target} takes {secure}, whose value is secure: it cannot be looked up. Correct it "
                "in the mapping.",
                code="definition.variable",
                where=Where(stage="map", column=spec.target),
            )
        self.how: Lookup = how
        self._lookups = inputs.lookups
        self._variables = inputs.variables
        self._places = [(match, columns.index(match.column) if match.column else -1) for match in how.matches]
        self._known: dict[Key, Found] = {}

    def forget(self) -> None:
        """Ask anew from now on: what was found may have changed."""
        self._known.clear()

    def find(self, rows: Sequence[Row]) -> list[Found]:
        """Give what is there for each of these rows."""
        fixed = {match.variable: text_of(self._variables.value(match.variable)) for match, at in self._places if at < 0}
        keys = [tuple(row[at] if at >= 0 else fixed[match.variable] for match, at in self._places) for row in rows]
        known = self._known
        unknown = [key for key in dict.fromkeys(keys) if key not in known]
        if unknown:
            known.update(zip(unknown, self._lookups.find(self.how, unknown), strict=True))
        found = [known[key] for key in keys]
        for key in unknown:
            if known[key].fault:
                del known[key]
        if len(known) > KEPT:
            for key in list(islice(known, len(known) - KEPT)):
                del known[key]
        return found

    def leaves_out(self, found: Found) -> bool:
        """Say whether a record for which this was found is not sent."""
        return (found.rows == 0 and self.how.none is NoneFound.RESTRICT) or (
            found.rows > 1 and self.how.many is ManyFound.RESTRICT
        )

    def takes_default(self, found: Found) -> bool:
        return (found.rows == 0 and self.how.none is NoneFound.DEFAULT) or (
            found.rows > 1 and self.how.many is ManyFound.DEFAULT
        )

    def complaint(self, found: Found, row: Row, number: int) -> tuple[str, str]:
        """Say why a document fails for what was found: a sentence, and the same without the particular values. Both
        are "" where it does not."""
        if found.rows == 1 or (found.rows > 1 and self.how.many is ManyFound.FIRST):
            return "", ""
        what = self.shown(row)
        if found.fault:
            sentence = f"{what} of row {number} could not be looked up: {found.fault.rstrip('.')}."
            return sentence, f"A lookup in {self.how.table} gave no answer"
        columns = " and ".join(match.column or match.variable for match, _ in self._places)
        if found.rows == 0:
            return f"{what} of row {number} is not found in {self.how.table}.", f"{columns} is not in {self.how.table}"
        return (
            f"{what} of row {number} is found {found.rows:,} times in {self.how.table}, and one is expected.",
            f"{columns} is more than once in {self.how.table}",
        )

    def shown(self, row: Row) -> str:
        """Say what is looked up for a row."""
        return " and ".join(self._shown(match, at, row) for match, at in self._places)

    def _shown(self, match: Match, at: int, row: Row) -> str:
        if at < 0:
            return f"“{text_of(self._variables.value(match.variable))[:SHOWN]}” in {match.variable}"
        return f"“{row[at][:SHOWN]}” in {match.column}"


def _incomplete(spec: FieldMap) -> DefinitionError:
    return DefinitionError(
        f"The lookup of {spec.target} does not say where to look. Complete it in the mapping.",
        code="definition.lookup",
        where=Where(stage="map", column=spec.target),
    )
