"""File tasks in real folders: what is copied, moved, deleted and archived, and what a kill in between leaves."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.connectors.outputs.placing import copy_durably
from integrations.engine.plan import Column, FileAction, SourceSpec, Stage, Task, TaskType
from integrations.models import Connection, GlobalVariable, Process, Run, RunStatus
from integrations.runs.perform import perform_next
from integrations.runs.request import request_run
from tests import factories
from tests.runs.performing import HEADER, Crm, file_of, fresh, process_into, requested
from tests.runs.test_perform import log_of
from tests.runs.test_tasks import Killed

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = "00001,Anna\n"


class Folders:
    """A folder that files come into, one that they go to, and something outside of both."""

    def __init__(self, company: Company, root: Path) -> None:
        self.company, self.inbox, self.archive = company, root / "in", root / "archive"
        for folder in (self.inbox, self.archive):
            folder.mkdir()
        self.incoming = self.connection("In", self.inbox)
        self.outgoing = self.connection("Archive", self.archive)
        self.crm = Crm(company, root)

    def connection(self, name: str, path: Path) -> Connection:
        return factories.make_connection(self.company, name, "folder", path=str(path))

    def put(self, *names: str) -> None:
        for name in names:
            (self.inbox / name).write_text(f"content of {name}")

    def names(self) -> tuple[list[str], list[str]]:
        return tuple(sorted(p.name for p in folder.iterdir()) for folder in (self.inbox, self.archive))  # type: ignore[return-value]

    def task(self, action: FileAction, *, stage: Stage = Stage.INTEGRATION_POST_ALWAYS, **more: Any) -> Task:
        parts = {"file_name": "*.csv", "connection": str(self.incoming.public_id), "action": action}
        if action is not FileAction.DELETE:
            parts["to_connection"] = str(self.outgoing.public_id)
        return Task(name="FILES", type=TaskType.FILE, stage=stage, **{**parts, **more})

    def process(self, task: Task, **more: Any) -> Process:
        return process_into(self.crm, tasks=(task,), **more)

    def run(self, task: Task) -> Run:
        run = requested(self.process(task), ROWS)
        assert perform_next()
        return fresh(run)


@pytest.fixture
def folders(company: Company, settings: Any, tmp_path: Path) -> Iterator[Folders]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        GlobalVariable.objects.create(company=company, name="GBL_STAR", value="*")
        yield Folders(company, tmp_path)


@pytest.mark.parametrize(
    ("action", "more", "left", "there"),
    [
        (FileAction.COPY, {}, ["a.csv", "b.csv", "c.txt"], ["a.csv", "b.csv"]),
        (FileAction.MOVE, {}, ["c.txt"], ["a.csv", "b.csv"]),
        (FileAction.DELETE, {}, ["c.txt"], []),
        (FileAction.MOVE, {"new_name": "[GBL_REGION]_[FILE][EXT]"}, ["c.txt"], ["North_a.csv", "North_b.csv"]),
        (FileAction.DELETE, {"file_name": "a.csv"}, ["b.csv", "c.txt"], []),
    ],
)
def test_what_becomes_of_the_files(
    folders: Folders, action: FileAction, more: dict[str, Any], left: list[str], there: list[str]
) -> None:
    folders.put("a.csv", "b.csv", "c.txt")

    run = folders.run(folders.task(action, **more))

    assert run.status == RunStatus.COMPLETED, log_of(run)
    assert folders.names() == (left, there)


def test_an_archived_file_has_the_date_in_its_name(folders: Folders) -> None:
    folders.put("a.csv")

    run = folders.run(folders.task(FileAction.ARCHIVE))

    assert run.started_at is not None
    assert folders.names() == ([], [f"a_{run.started_at:%Y-%m-%d_%H%M%S}.csv"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"file_name": "*.xml"}, "No file matches *.xml at In"),
        ({"file_name": "../archive/*"}, "may not name folders"),
        ({"file_name": "[GBL_STAR].csv"}, "No file matches"),
        ({"new_name": "../x"}, "another folder"),
        ({"new_name": "same.csv"}, "Two files would both be called"),
        ({}, "There is already a file “a.csv” at Archive"),
    ],
)
def test_what_cannot_be_done_touches_nothing(folders: Folders, more: dict[str, Any], said: str) -> None:
    folders.put("a.csv", "b.csv")
    (folders.archive / "a.csv").write_text("theirs")

    run = folders.run(folders.task(FileAction.MOVE, **more))

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert said in " ".join(log_of(run))
    assert folders.names() == (["a.csv", "b.csv"], ["a.csv"])
    assert (folders.archive / "a.csv").read_text() == "theirs"


def test_a_file_is_replaced_where_that_is_asked(folders: Folders) -> None:
    folders.put("a.csv")
    (folders.archive / "a.csv").write_text("old")

    folders.run(folders.task(FileAction.COPY, overwrite=True))

    assert (folders.archive / "a.csv").read_text() == "content of a.csv"


@pytest.mark.parametrize("action", [FileAction.COPY, FileAction.MOVE])
@pytest.mark.parametrize("new_name", ["x[FILE][EXT]", "[FILE][EXT]"])
def test_no_file_goes_over_one_that_the_task_takes_itself(folders: Folders, action: FileAction, new_name: str) -> None:
    folders.put("a.csv", "xa.csv")
    here = str(folders.incoming.public_id)

    run = folders.run(folders.task(action, new_name=new_name, to_connection=here, overwrite=True))

    assert "is the name of a file that the task takes itself" in " ".join(log_of(run))
    assert {path.name: path.read_text() for path in folders.inbox.iterdir()} == {
        "a.csv": "content of a.csv",
        "xa.csv": "content of xa.csv",
    }


@pytest.mark.parametrize("action", list(FileAction))
@pytest.mark.parametrize("becomes", ["changed", "gone", "another"])
def test_a_file_that_is_not_the_one_that_was_found_is_left_and_told_of(
    folders: Folders, action: FileAction, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.put("a.csv", "b.csv")

    def change(name: str) -> None:
        if name == "tasks.begun":
            path = folders.inbox / "a.csv"
            if becomes == "gone":
                path.unlink()
            elif becomes == "changed":
                path.write_text("changed")
            else:
                (folders.inbox / "new").write_text("another")
                (folders.inbox / "new").replace(path)

    monkeypatch.setattr("integrations.runs.tasks.failpoint", change)
    run = folders.run(folders.task(action, new_name="[FILE].old"))

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert "“a.csv” changed or went away after the task had found it" in " ".join(log_of(run))
    left = ["b.csv"] if action is FileAction.COPY else []
    assert folders.names() == (
        [*([] if becomes == "gone" else ["a.csv"]), *left],
        [] if action is FileAction.DELETE else ["b.old"],
    )


@pytest.mark.parametrize("action", [FileAction.COPY, FileAction.MOVE])
def test_a_file_that_grows_while_it_is_copied_leaves_no_copy(
    folders: Folders, action: FileAction, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.put("a.csv")

    def growing(source: Path, path: Path) -> None:
        copy_durably(source, path)
        source.write_text("more than before")

    def other_disk(source: Path, path: Path, *, replace: bool) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("integrations.connectors.file_moves.copy_durably", growing)
    monkeypatch.setattr("integrations.connectors.file_moves.rename", other_disk)
    run = folders.run(folders.task(action))

    assert "“a.csv” changed" in " ".join(log_of(run))
    assert folders.names() == (["a.csv"], [])


def test_links_are_left_alone(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret")
    (folders.inbox / "a.csv").symlink_to(tmp_path / "secret.csv")
    (folders.inbox / "b.csv").symlink_to("/etc/hostname")

    run = folders.run(folders.task(FileAction.MOVE))

    assert "“a.csv” at In is a link" in " ".join(log_of(run))
    assert (tmp_path / "secret.csv").exists() and folders.names() == (["a.csv", "b.csv"], [])


def fetching(folders: Folders, task: Task) -> Process:
    """A process whose source is the one file in the folder."""
    spec = SourceSpec(
        kind="delimited",
        connection=str(folders.incoming.public_id),
        options={"pattern": "*.csv"},
        columns=(Column(name="CustomerNumber"), Column(name="Name")),
    )
    return folders.process(task, source=spec)


def test_the_file_that_the_run_has_read_is_archived(folders: Folders) -> None:
    (folders.inbox / "new.csv").write_text(HEADER + ROWS)
    process = fetching(folders, folders.task(FileAction.MOVE, own_file=True, file_name="", connection=""))

    run = request_run(process, by=None)
    assert perform_next()

    assert fresh(run).status == RunStatus.COMPLETED and folders.names() == ([], ["new.csv"])


def test_a_file_that_changed_since_it_was_read_stays(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    (folders.inbox / "new.csv").write_text(HEADER + ROWS)
    process = fetching(folders, folders.task(FileAction.DELETE, own_file=True, file_name="", connection=""))
    run = request_run(process, by=None)

    def change(name: str) -> None:
        if name == "execute.after_settle":
            (folders.inbox / "new.csv").write_text(HEADER + "00002,Bea\n")

    monkeypatch.setattr("integrations.engine.execute.failpoint", change)
    assert perform_next()

    assert "has changed since this run read it" in " ".join(log_of(run))
    assert folders.names()[0] == ["new.csv"]


def test_an_uploaded_source_leaves_the_folder_alone(folders: Folders) -> None:
    process = fetching(folders, folders.task(FileAction.DELETE, own_file=True, file_name="", connection=""))
    (folders.inbox / "customers.csv").write_text(HEADER + ROWS)

    run = request_run(process, by=None, file=file_of(folders.company, ROWS))
    assert perform_next()

    assert fresh(run).status == RunStatus.COMPLETED and folders.names()[0] == ["customers.csv"]
    assert "no folder holds its file" in " ".join(log_of(run))


@pytest.mark.parametrize("action", list(FileAction))
@pytest.mark.parametrize("place", ["tasks.begun", "between", "tasks.acted"])
def test_whoever_continues_does_what_is_left_and_nothing_twice(
    folders: Folders, action: FileAction, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.put("a.csv", "b.csv")
    run = requested(folders.process(folders.task(action, new_name="[FILE].old")), ROWS)

    def die(name: str) -> None:
        if name == place:
            raise Killed

    def half(steps: Any, token: str, *, resumed: bool) -> None:
        real(steps[:1], token, resumed=resumed)
        raise Killed

    from integrations.connectors.file_moves import carry_out as real

    with monkeypatch.context() as patch:
        patch.setattr("integrations.runs.tasks.failpoint", die)
        if place == "between":
            patch.setattr("integrations.runs.tasks.carry_out", half)
        with pytest.raises(Killed):
            perform_next()
    if place != "tasks.begun" and action is not FileAction.COPY:
        # Another file came under the name of one that was dealt with: nobody asked for that.
        (folders.inbox / "a.csv").write_text("new")
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()

    run = fresh(run)
    if action is FileAction.DELETE and place != "tasks.begun":
        # Nothing shows any more that the one before it was deleted.
        assert run.status == RunStatus.COMPLETED_WITH_ERRORS and "“a.csv” changed" in " ".join(log_of(run))
    else:
        assert run.status == RunStatus.COMPLETED, log_of(run)
    left, there = folders.names()
    assert there == ([] if action is FileAction.DELETE else ["a.old", "b.old"])
    if action is FileAction.COPY:
        assert left == ["a.csv", "b.csv"]
    else:
        assert left == ([] if place == "tasks.begun" else ["a.csv"])
