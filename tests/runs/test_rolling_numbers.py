"""Runs that number what they send: no number comes twice, whatever dies or runs beside it."""

import threading
from dataclasses import replace

import pytest
from django.db import connection
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import ColumnType, FieldMap, Line, ValueType
from integrations.models import GivenNumbers, Process, RollingNumber, Run, RunStatus
from integrations.runs.perform import perform_next
from integrations.runs.preview import preview_of
from tests.runs.performing import Crm, fresh, performed, process_into, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]
ROWS = "1,Acme\n2,Bolt\n3,Acme\n4,Dent\n"


class Killed(BaseException):
    """The worker dies here."""


@pytest.fixture
def sequence(company: Company) -> RollingNumber:
    return RollingNumber.objects.create(company=company, name="Customers", prefix="C-", width=4, next_number=7)


def numbering(crm: Crm, sequence: RollingNumber, **changes: object) -> Process:
    """Customers whose name is the next number."""
    name = FieldMap(target="name", column_type=ColumnType.ROLLING_NUMBER, sequence=str(sequence.public_id))
    fields = (FieldMap(target="customer_number", value="CustomerNumber"), name)
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=fields)
    return process_into(crm, **({"lines": (line,)} | changes))  # type: ignore[arg-type]


def test_a_run_numbers_its_records_and_the_next_one_goes_on(crm: Crm, sequence: RollingNumber) -> None:
    process = numbering(crm, sequence)

    run = performed(process, ROWS)
    performed(process, "5,Ely\n")

    assert run.status == RunStatus.COMPLETED, run.reason
    assert [name for _, name in crm.customers()] == ["C-0007", "C-0008", "C-0009", "C-0010", "C-0011"]
    assert not GivenNumbers.objects.exists()


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize(
    "place", ["journal.numbers", "execute.before_deliver", "execute.after_deliver", "execute.after_settle"]
)
def test_a_document_keeps_its_number_when_the_worker_dies_and_none_comes_twice(
    crm: Crm, sequence: RollingNumber, monkeypatch: pytest.MonkeyPatch, place: str, settles: bool
) -> None:
    """An upsert without a marker is sent again: the same document must come with the same number."""
    if not settles:
        crm.drop_marker()
    run = requested(numbering(crm, sequence), ROWS)
    seen: list[str] = []

    def die(name: str) -> None:
        seen.append(name)
        if seen.count(place) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("integrations.engine.execute.failpoint", die)
        patch.setattr("integrations.runs.journal.failpoint", die)
        with pytest.raises(Killed):
            perform_next()
    arrived = dict(crm.customers())
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()

    assert fresh(run).status == RunStatus.COMPLETED, fresh(run).reason
    assert crm.customers() == [("1", "C-0007"), ("2", "C-0008"), ("3", "C-0009"), ("4", "C-0010")]
    assert arrived.items() <= dict(crm.customers()).items()
    assert not GivenNumbers.objects.exists()


def test_two_takers_at_once_never_get_the_same_number(company: Company, sequence: RollingNumber) -> None:
    taken: list[str] = []

    def take() -> None:
        with scope(company=company):
            for _ in range(10):
                taken.extend(RollingNumber.take(str(sequence.public_id), 3))
        connection.close()

    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()

    assert sorted(taken) == [f"C-{number:04d}" for number in range(7, 127)]


def test_a_sequence_that_is_gone_fails_the_run_before_anything_is_read(crm: Crm, sequence: RollingNumber) -> None:
    process = numbering(crm, sequence)
    sequence.delete()

    run = performed(process, ROWS)

    assert (run.status, run.source_documents) == (RunStatus.FAILED, None)
    assert run.reason == "The rolling number of name no longer exists. Correct it in the mapping."


def test_a_prefix_that_a_whole_number_cannot_hold_fails_the_run_before_anything_is_read(
    crm: Crm, sequence: RollingNumber
) -> None:
    process = numbering(crm, sequence)
    line = process.drafted.lines[0]
    whole = replace(line, fields=(line.fields[0], replace(line.fields[1], type=ValueType.INTEGER)))

    run = performed(numbering(crm, sequence, process="WHOLE", lines=(whole,)), ROWS)

    assert (run.status, run.source_documents) == (RunStatus.FAILED, None)
    assert run.reason.startswith("name is integer, and the numbers of Customers begin with C-.")


def test_a_preview_shows_the_next_numbers_and_takes_none(crm: Crm, sequence: RollingNumber) -> None:
    process = numbering(crm, sequence)
    requested(process, ROWS)
    run = Run.objects.get()
    Process.objects.filter(pk=process.pk).update(sample=run.source_file)
    process.refresh_from_db()

    shown = preview_of(process, process.drafted)

    assert [document.lines[0][0].values["name"] for document in shown.documents][:2] == ["C-0007", "C-0008"]
    sequence.refresh_from_db()
    assert sequence.next_number == 7
