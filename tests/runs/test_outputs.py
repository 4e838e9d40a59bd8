"""Runs that make files: what is placed or kept, what a kill leaves, and that the ledger and the file say the same."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as installed
from django.test import Client
from django.urls import reverse
from django_scopes import scope
from pysequoia import Tsk, decrypt

from accounts.models import Company, User
from integrations.engine.batch import Bucket
from integrations.engine.plan import DestinationSpec, FieldMap, Line, Stage, Task, TaskType, WriteMode
from integrations.models import GlobalVariable, LedgerSegment, OutputFile, Process, Run, RunStatus
from integrations.runs.files import path_of
from integrations.runs.journal import unpack_keys
from integrations.runs.outputs import clear_left, workspace_of
from integrations.runs.perform import perform_next
from integrations.runs.request import request_cancel
from tests import factories
from tests.runs.performing import fresh, performed, requested
from tests.runs.test_perform import log_of
from tests.runs.test_tasks import Killed

pytestmark = pytest.mark.django_db(transaction=True)

FOUR = "00001,Anna\n00002,\n00003,Cara\n00004,Dora\n"


@pytest.fixture
def out(company: Company, settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.FOLDERS = [tmp_path]
    settings.FILES_DIR = tmp_path / "files"
    folder = tmp_path / "out"
    folder.mkdir()
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        yield folder


def process_to(
    folder: Path | None,
    company: Company,
    *,
    target: str = "customers.csv",
    tasks: tuple[Task, ...] = (),
    **options: Any,
) -> Process:
    """CUSTOMERS into a file, two documents a segment; a customer without a name fails."""
    connection = factories.make_connection(company, "Exchange", "folder", path=str(folder)) if folder else None
    spec = DestinationSpec(
        kind="folder_file" if connection else "download",
        connection=str(connection.public_id) if connection else "",
        options={"batch_documents": 2, "line_end": "lf", **options},
    )
    line = Line(
        name="Customer",
        target=target,
        mode=WriteMode.INSERT,
        fields=(
            FieldMap(target="number", value="CustomerNumber"),
            FieldMap(target="name", value="Name", required=True),
        ),
    )
    crm = factories.make_connection(company, "Unused", system="sqlite", path="/nowhere")
    return factories.make_process(company, factories.make_plan(crm, destination=spec, lines=(line,), tasks=tasks))


def delivered(run: Run) -> list[str]:
    """The keys that the ledger calls delivered."""
    pages = LedgerSegment.objects.filter(run=run).order_by("number").values_list("keys", flat=True)
    return [key for page in pages for key, bucket in unpack_keys(bytes(page)) if bucket is Bucket.CREATED]


def in_file(path: Path) -> list[str]:
    return [row["number"] for row in csv.DictReader(io.StringIO(path.read_text()))]


def test_what_was_delivered_is_in_the_file_and_what_failed_is_not(company: Company, out: Path) -> None:
    run = performed(process_to(out, company), FOUR)

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert (out / "customers.csv").read_text() == "number,name\n00001,Anna\n00003,Cara\n00004,Dora\n"
    assert in_file(out / "customers.csv") == delivered(run)
    output = OutputFile.objects.get(run=run)
    assert output.is_placed and output.size_bytes == (out / "customers.csv").stat().st_size
    assert not workspace_of(run).exists()
    assert any("is placed at Exchange" in line for line in log_of(run))


def test_the_name_takes_what_the_tasks_before_set(company: Company, out: Path) -> None:
    task = Task(
        name="SET", type=TaskType.SET_VARIABLE, stage=Stage.INTEGRATION_PRE, variable="GBL_REGION", value="South"
    )

    run = performed(process_to(out, company, target="[GBL_REGION]_[run.number]_[YYYY].csv", tasks=(task,)), FOUR)

    assert [path.name for path in out.iterdir()] == [f"South_{run.number}_{run.started_at:%Y}.csv"]


def test_a_download_needs_no_connection_and_is_listed_with_the_run(
    company: Company, out: Path, vera: User, client: Client
) -> None:
    run = performed(process_to(None, company), FOUR)
    client.force_login(vera)

    page = client.get(reverse("run-summary", args=[run.number])).content.decode()
    answer = client.get(reverse("run-output-download", args=[run.number, 1]))

    assert b"".join(answer.streaming_content) == b"number,name\n00001,Anna\n00003,Cara\n00004,Dora\n"
    assert answer["Content-Disposition"] == 'attachment; filename="customers.csv"'
    output = OutputFile.objects.get(run=run)
    assert "customers.csv" in page and output.sha256[:12] in page and "kept with this run" in page


def test_a_placed_file_that_is_not_kept_is_no_download(company: Company, out: Path, vera: User, client: Client) -> None:
    run = performed(process_to(out, company), FOUR)
    client.force_login(vera)

    assert client.get(reverse("run-output-download", args=[run.number, 1])).status_code == 404
    assert "placed at Exchange" in client.get(reverse("run-summary", args=[run.number])).content.decode()


def test_a_cancelled_run_places_nothing_and_keeps_what_it_delivered(
    company: Company, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = requested(process_to(out, company), FOUR)

    def cancel(name: str) -> None:
        if name == "execute.after_settle":
            request_cancel(Run.objects.get(pk=run.pk), by=None)

    monkeypatch.setattr("integrations.engine.execute.failpoint", cancel)
    assert perform_next()

    run = fresh(run)
    output = OutputFile.objects.get(run=run)
    assert run.status == RunStatus.CANCELLED and not list(out.iterdir())
    assert output.file is not None and in_file(path_of(output.file)) == delivered(run) == ["00001"]


def test_a_file_that_is_there_fails_the_run_before_anything_is_sent(company: Company, out: Path) -> None:
    (out / "customers.csv").write_text("theirs")

    run = performed(process_to(out, company), FOUR)

    assert run.status == RunStatus.FAILED and "There is already a file" in run.reason
    assert run.documents_created == 0 and (out / "customers.csv").read_text() == "theirs"


PLACES = (
    ("integrations.engine.execute", "execute.after_deliver"),
    ("integrations.runs.journal", "journal.before_settle"),
    ("integrations.engine.execute", "execute.after_settle"),
    ("integrations.engine.execute", "execute.before_complete"),
    ("integrations.connectors.outputs.destination", "outputs.before_rename"),
    ("integrations.connectors.outputs.destination", "outputs.renamed"),
    ("integrations.engine.execute", "execute.after_complete"),
    ("integrations.runs.perform", "perform.before_finish"),
)


@pytest.mark.parametrize("existing", ["fail", "append"])
@pytest.mark.parametrize(("module", "place"), PLACES)
def test_a_worker_that_dies_loses_and_repeats_nothing(
    company: Company, out: Path, monkeypatch: pytest.MonkeyPatch, module: str, place: str, existing: str
) -> None:
    run = requested(process_to(out, company, existing=existing), FOUR)

    def die(name: str) -> None:
        if name == place:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.failpoint", die)
        with pytest.raises(Killed):
            perform_next()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()

    run = fresh(run)
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS and run.is_balanced
    assert in_file(out / "customers.csv") == delivered(run) == ["00001", "00003", "00004"]
    assert [path.name for path in out.iterdir()] == ["customers.csv"]


def test_an_encrypted_run_leaves_no_clear_text_anywhere(company: Company, out: Path, tmp_path: Path) -> None:
    key = Tsk.generate("Ann <ann@harwood.test>")

    run = performed(process_to(out, company, recipients=str(key.extract_certificate())), "00001,Geheimnis\n")

    sealed = (out / "customers.csv.pgp").read_bytes()
    assert decrypt(sealed, key.decryptor()).bytes == b"number,name\n00001,Geheimnis\n"
    upload = path_of(run.source_file) if run.source_file else None
    clear = [p for p in tmp_path.rglob("*") if p.is_file() and p != upload and b"Geheimnis" in p.read_bytes()]
    assert not clear


def test_the_workspace_of_a_run_that_killed_its_workers_is_swept(company: Company, out: Path) -> None:
    run = requested(process_to(out, company), FOUR)
    workspace_of(run).mkdir(parents=True)
    (Path(installed.FILES_DIR) / "outputs" / "locks").mkdir()

    assert clear_left() == 0, "it may be resumed"
    request_cancel(run, by=None)
    assert clear_left() == 1
    assert [path.name for path in workspace_of(run).parent.iterdir()] == ["locks"]
