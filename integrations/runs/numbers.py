"""The numbers that a run gives its documents: taken for good, or only looked at where nothing is sent."""

from collections import Counter
from collections.abc import Sequence

from integrations.engine.errors import DefinitionError, Where
from integrations.engine.plan import FieldMap, Plan, ValueType
from integrations.models import GivenNumbers, RollingNumber, Run
from integrations.runs.journal import RunJournal


class RunNumbers:
    """`engine.ports.Numbers` of one run. What an earlier worker took and nobody accounted for is given again."""

    def __init__(self, run: Run, journal: RunJournal) -> None:
        self._journal = journal
        self._before: dict[tuple[str, int], str] = {}
        for given in GivenNumbers.objects.filter(run=run):
            self._before |= {(given.place, int(row)): number for row, number in given.numbers.items()}

    def take(self, sequence: str, place: str, wanted: Sequence[tuple[int, int]]) -> Sequence[str]:
        missing = [(document, row) for document, row in wanted if (place, row) not in self._before]
        fresh = self._journal.take_numbers(sequence, place, missing) if missing else {}
        return [self._before.get((place, row)) or fresh[row] for _, row in wanted]


class NextNumbers:
    """The same for previews: the numbers that would come next, taken by nobody."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()

    def take(self, sequence: str, place: str, wanted: Sequence[tuple[int, int]]) -> Sequence[str]:
        found = RollingNumber.objects.filter(public_id=sequence).first()
        if found is None:
            raise DefinitionError(
                f"The rolling number of {place.rpartition('/')[2]} no longer exists. Choose another one in the mapping.",
                code="definition.number",
            )
        before = self._shown[sequence]
        self._shown[sequence] += len(wanted)
        return found.ahead(before + len(wanted))[before:]


def open_numbers(run: Run, plan: Plan, journal: RunJournal) -> RunNumbers | None:
    """Give what the run takes numbers from, None where it needs none. Raises `DefinitionError` for a sequence that is
    not there any more, or that the field cannot hold: nothing was read yet."""
    if not plan.numbered:
        return None
    found = {str(item.public_id): item for item in RollingNumber.objects.all()}
    for item in plan.numbered:
        if complaint := _complaint(item, found.get(item.sequence)):
            where = Where(stage="map", column=item.target)
            raise DefinitionError(f"{complaint} Correct it in the mapping.", code="definition.number", where=where)
    journal.gives_numbers = True
    return RunNumbers(run, journal)


def _complaint(item: FieldMap, sequence: RollingNumber | None) -> str:
    if sequence is None:
        return f"The rolling number of {item.target} no longer exists."
    if item.type is not ValueType.TEXT and sequence.prefix:
        return f"{item.target} is {item.type}, and the numbers of {sequence.name} begin with {sequence.prefix}."
    return ""
