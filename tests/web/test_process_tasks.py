"""The Tasks tab: tasks under their stages, defined, moved, switched, copied and deleted in the draft."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import (
    Column,
    Expects,
    FileAction,
    Header,
    Lookup,
    Match,
    ParentData,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Then,
    ValueType,
)
from integrations.models import GlobalVariable, Process
from tests import factories
from tests.web.defining import answers_of, said, save, upload_sample

FAILED = "GBL_FAILED_CUSTOMERS"
RESET = Task(
    name="RESET", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script=f"this.{FAILED} = '';\nreturn true;"
)
CHECK = replace(RESET, name="CHECK", script="return true;")
COLLECT = replace(
    RESET,
    name="COLLECT",
    stage=Stage.DOCUMENT_POST_FAILURE,
    script=f"this.{FAILED} += this._Name + '|';\nreturn true;",
)


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name=FAILED, description="Who was refused")
        yield


@pytest.fixture
def doras(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


def process_with(company: Company, *tasks: Task, name: str = "CUSTOMERS", **more: Any) -> Process:
    connection = factories.make_connection(company, f"CRM of {name}")
    return factories.make_process(company, factories.make_plan(connection, process=name, tasks=tasks, **more))


@pytest.fixture
def process(doras: Client, company: Company) -> Process:
    return process_with(company, RESET, CHECK, COLLECT)


def tasks_of(process: Process) -> tuple[Task, ...]:
    process.refresh_from_db()
    return process.drafted.tasks


def names(process: Process) -> list[str]:
    return [task.name for task in tasks_of(process)]


def tab(client: Client, process: Process) -> Any:
    return client.get(reverse("process-tasks", args=[process.public_id]))


def add(client: Client, process: Process, **changes: Any) -> Any:
    shown = client.get(reverse("process-task-new", args=[process.public_id]))
    answers = answers_of([shown.context["form"]]) | changes
    return client.post(reverse("process-task-add", args=[process.public_id]), answers, follow=True)


def arrange(client: Client, process: Process, action: str, **changes: Any) -> Any:
    process.refresh_from_db()
    answers = {"revision": process.revision, "do": action} | changes
    return client.post(reverse("process-tasks-arrange", args=[process.public_id]), answers, follow=True)


def problems(client: Client, process: Process) -> dict[str, str]:
    return {place.sentence: place.url for place in tab(client, process).context["problems"]}


# The list ---------------------------------------------------------------------------------------------------------


def test_tasks_stand_under_the_eight_stages_and_a_stage_without_one_keeps_its_row(
    doras: Client, process: Process
) -> None:
    response = tab(doras, process)
    assert [(lane.words.label, [row.task.name for row in lane.rows]) for lane in response.context["lanes"]] == [
        ("Integration Pre Tasks", ["RESET", "CHECK"]),
        ("Validation Tasks", []),
        ("Document Pre Tasks", []),
        ("Document Post Success Tasks", []),
        ("Document Post Failure Tasks", ["COLLECT"]),
        ("Integration Post Success Tasks", []),
        ("Integration Post Failure Tasks", []),
        ("Integration Post Always Tasks", []),
    ]
    shown = response.content.decode()
    assert shown.count("No task") == 6 and "3 tasks in 2 of 8 stages" in shown


def test_a_task_is_added_with_the_defaults_of_the_form(doras: Client, process: Process, dora: User) -> None:
    response = add(doras, process, name="LAST", stage="integration_post_always", script="return true;")
    assert "Task LAST is saved to the draft." in said(response)
    assert tasks_of(process)[-1] == Task(
        name="LAST", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_POST_ALWAYS, script="return true;"
    )
    entry = AuditEntry.objects.filter(action="process.saved").latest("pk")
    assert (entry.user, entry.after) == (dora, {"changes": ["Task LAST added to Integration Post Always Tasks"]})


def test_add_beside_a_stage_begins_with_that_stage(doras: Client, process: Process) -> None:
    shown = doras.get(reverse("process-task-new", args=[process.public_id]) + "?stage=validation")
    assert shown.context["form"]["stage"].value() == "validation"
    assert "after grouping, before anything is sent" in shown.content.decode()


def test_a_task_is_saved_in_its_place(doras: Client, process: Process) -> None:
    save(doras, process, "task", line=1, name="BEGIN", on_failure="cancel", condition="return false;")
    begin = replace(RESET, name="BEGIN", on_failure=Then.CANCEL, condition="return false;")
    assert tasks_of(process) == (begin, CHECK, COLLECT)


def test_a_task_of_another_stage_goes_to_the_end_of_that_stage(doras: Client, process: Process) -> None:
    save(doras, process, "task", line=1, stage="document_post_failure")
    assert names(process) == ["CHECK", "COLLECT", "RESET"]


def test_what_belongs_to_another_type_is_not_kept(doras: Client, process: Process) -> None:
    save(doras, process, "task", line=1, type="set_variable", variable=FAILED, value="[GBL_FAILED_CUSTOMERS]x")
    first = tasks_of(process)[0]
    assert (first.type, first.script, first.variable) == (TaskType.SET_VARIABLE, "", FAILED)
    assert first.value == f"[{FAILED}]x"


def test_a_task_moves_within_its_stage_and_keeps_the_focus(doras: Client, process: Process) -> None:
    response = arrange(doras, process, "down-1")
    assert names(process) == ["CHECK", "RESET", "COLLECT"]
    assert response.redirect_chain[-1][0].endswith("/tasks/#task-2")
    arrange(doras, process, "up-2")
    assert names(process) == ["RESET", "CHECK", "COLLECT"]


@pytest.mark.parametrize("action", ["up-1", "down-2", "up-3", "down-3"])
def test_a_task_does_not_leave_its_stage_by_being_moved(doras: Client, process: Process, action: str) -> None:
    arrange(doras, process, action)
    assert names(process) == ["RESET", "CHECK", "COLLECT"]


def test_a_task_is_switched_off_and_on(doras: Client, process: Process) -> None:
    assert "RESET is switched off" in said(arrange(doras, process, "switch-1"))
    assert not tasks_of(process)[0].enabled
    assert "RESET is switched on" in said(arrange(doras, process, "switch-1"))
    assert tasks_of(process)[0].enabled


def test_a_copy_stands_behind_its_task_under_a_free_name(doras: Client, process: Process) -> None:
    arrange(doras, process, "copy-1")
    arrange(doras, process, "copy-1")
    assert names(process) == ["RESET", "RESET_COPY2", "RESET_COPY", "CHECK", "COLLECT"]
    assert tasks_of(process)[1].script == RESET.script


def test_a_task_is_deleted_from_the_draft_and_stays_in_the_version(doras: Client, process: Process) -> None:
    arrange(doras, process, "delete-1")
    assert names(process) == ["CHECK", "COLLECT"]
    assert process.newest_version is not None
    assert [task.name for task in process.newest_version.plan.tasks] == ["RESET", "CHECK", "COLLECT"]


@pytest.mark.parametrize("action", ["delete-0", "delete-4", "delete-x", "up", ""])
def test_a_task_that_is_not_there_is_not_found(doras: Client, process: Process, action: str) -> None:
    assert arrange(doras, process, action).status_code == 404


# Someone else -----------------------------------------------------------------------------------------------------


def test_the_list_is_not_arranged_over_someone_elses_save(doras: Client, process: Process, ada: User) -> None:
    process.change(revision=process.revision, by=ada, description="Other")
    response = arrange(doras, process, "delete-1", revision=process.revision - 1)
    assert "meanwhile. Nothing was changed" in said(response)
    assert names(process) == ["RESET", "CHECK", "COLLECT"]


def test_a_task_that_someone_else_moved_meanwhile_is_still_the_one_that_is_saved(
    doras: Client, process: Process, ada: User
) -> None:
    page = reverse("process-task", args=[process.public_id, 1])
    answers = answers_of([doras.get(page).context["form"]]) | {"script": "return false;"}
    plan = replace(process.drafted, tasks=(CHECK, RESET, COLLECT))
    process.change(revision=process.revision, by=ada, draft=plan.to_json())

    refused = doras.post(page + "save/", answers)
    assert refused.status_code == 409 and "saved this process meanwhile" in refused.content.decode()
    assert tasks_of(process) == (CHECK, RESET, COLLECT)

    doras.post(page + "save/", answers_of([refused.context["form"]]))
    assert tasks_of(process) == (CHECK, replace(RESET, script="return false;"), COLLECT)


def test_a_viewer_sees_tasks_and_cannot_change_them(client: Client, vera: User, process: Process) -> None:
    client.force_login(vera)
    assert "RESET" in tab(client, process).content.decode()
    shown = client.get(reverse("process-task", args=[process.public_id, 1])).content.decode()
    assert "Save<span" not in shown and "disabled" in shown
    assert arrange(client, process, "delete-1").status_code == 403


# What a form refuses and warns of ---------------------------------------------------------------------------------


def test_two_tasks_of_one_name_are_refused_at_the_field(doras: Client, process: Process) -> None:
    response = add(doras, process, name="RESET")
    assert response.status_code == 422
    assert response.context["form"].errors["name"] == ["There is already a task named RESET. Choose another name."]


@pytest.mark.parametrize("field", ["script", "condition"])
def test_a_script_that_cannot_be_read_is_not_saved_and_its_line_is_named(
    doras: Client, process: Process, field: str
) -> None:
    response = save(doras, process, "task", line=1, **{field: "return true;\nif (;"})
    assert response.context["form"].errors[field][0].startswith("line 2:")
    assert tasks_of(process)[0] == RESET


def test_typographic_quotes_are_offered_a_fix(doras: Client, process: Process) -> None:
    pasted = f"this.{FAILED} = this.{FAILED} + this._Name + ‘|’;\nreturn true;"
    refused = save(doras, process, "task", line=3, script=pasted)
    assert "Make them plain and save" in refused.content.decode()
    save(doras, process, "task", line=3, script=pasted, mend="yes")
    assert tasks_of(process)[2].script == pasted.replace("‘", "'").replace("’", "'")


def test_the_code_box_is_told_what_is_wrong_with_a_script_as_it_stands(doras: Client, process: Process) -> None:
    def told(script: str, **more: str) -> Any:
        path = reverse("process-script-check", args=[process.public_id])
        return doras.post(path, {"script": script, **more}).json()

    assert told("return true;") == {"complaints": [], "plain": ""}
    answer = told("var a;\r\nreturn “a”;")
    assert answer["plain"] == 'var a;\nreturn "a";'
    assert [(item["line"], item["severity"]) for item in answer["complaints"]] == [(2, "error")]
    (early,) = told("return this._email;", stage="integration_pre")["complaints"]
    assert early["sentence"] == "this._email: at this stage there is no document to look at."


def test_a_missing_return_is_a_warning(doras: Client, process: Process) -> None:
    response = save(doras, process, "task", line=1, script=f"this.{FAILED} = '';")
    assert "RESET: Its script has no return" in said(response)
    assert tasks_of(process)[0].script == f"this.{FAILED} = '';"
    shown = doras.get(reverse("process-task", args=[process.public_id, 1])).content.decode()
    assert "Its script has no return" in shown


def test_the_form_says_what_the_end_of_a_task_means_at_its_stage(doras: Client, process: Process) -> None:
    shown = doras.get(reverse("process-task", args=[process.public_id, 3])).context["now"]
    assert shown["failure"] == "The remaining tasks of this document are skipped."
    shown = doras.get(reverse("process-task", args=[process.public_id, 1])).context["now"]
    assert shown["failure"] == "Nothing is read; the run ends Failed."


def test_names_stand_beside_every_code_box(doras: Client, process: Process) -> None:
    for name, args in (("task", [1]), ("restriction", [1]), ("mapping", [1])):
        shown = doras.get(reverse(f"process-{name}", args=[process.public_id, *args])).content.decode()
        assert f'data-insert="this.{FAILED}"' in shown and 'data-insert="this._Name"' in shown, name


def test_an_email_is_saved_and_listed(doras: Client, process: Process) -> None:
    letter = {"to": "[GBL_FAILED_CUSTOMERS]", "cc": "c@x.test", "subject": "Run [run.number]", "text": "One\r\nTwo"}
    save(doras, process, "task", line=1, type="send_email", attach_failed="on", **letter)
    kept = {**letter, "text": "One\nTwo", "attach_failed": True, "script": ""}
    assert tasks_of(process)[0] == replace(RESET, type=TaskType.SEND_EMAIL, **kept)
    page = doras.get(reverse("process-task", args=[process.public_id, 1])).content.decode()
    assert "[run.number] [run.name]" in page and "[run.lastError]" in page
    shown = tab(doras, process).content.decode()
    assert f"to [{FAILED}]: Run [run.number] · failed documents attached" in shown and "#i-mail" in shown
    save(doras, process, "task", line=1, type="run_script", script="return true;")
    assert tasks_of(process)[0] == replace(CHECK, name="RESET"), "nothing of the e-mail is kept"


def test_a_statement_is_saved_and_listed_and_not_tried(doras: Client, process: Process) -> None:
    with_statement = {"type": "run_sql", "answer": FAILED, "statement": "UPDATE t\r\nSET a = [run.number]"}
    database = process.drafted.destination.connection
    save(doras, process, "task", line=1, database=database, **with_statement)
    kept = {"connection": database, "variable": FAILED, "statement": "UPDATE t\nSET a = [run.number]", "script": ""}
    assert tasks_of(process)[0] == replace(RESET, type=TaskType.RUN_SQL, **kept)
    shown = tab(doras, process).content.decode()
    assert f"CRM of CUSTOMERS · UPDATE t SET a = [run.number] · answer in {FAILED}" in shown
    form = doras.get(reverse("process-task", args=[process.public_id, 1])).context["form"]
    assert (form["database"].value(), form["answer"].value()) == (database, FAILED)
    refused = tried(doras, process, 1).context["tried"]["refused"]
    assert refused == "What it changes would be changed for good."


def test_a_file_task_is_saved_and_listed_and_not_tried(doras: Client, company: Company, process: Process) -> None:
    here, there = (
        str(factories.make_connection(company, name, "folder", path="/in").public_id) for name in ("In", "Archive")
    )
    given = {"type": "file", "action": "archive", "folder": here, "file_name": "*.csv", "to_folder": there}
    save(doras, process, "task", line=1, **given)
    kept = {"action": FileAction.ARCHIVE, "connection": here, "file_name": "*.csv", "to_connection": there}
    assert tasks_of(process)[0] == replace(RESET, type=TaskType.FILE, script="", **kept)
    assert "archive *.csv at In · to Archive" in tab(doras, process).content.decode()
    form = doras.get(reverse("process-task", args=[process.public_id, 1])).context["form"]
    assert (form["folder"].value(), form["to_folder"].value()) == (here, there)
    assert tried(doras, process, 1).context["tried"]["refused"] == "What it changes would be changed for good."

    save(doras, process, "task", line=1, action="delete", own_file="on")
    own = {"action": FileAction.DELETE, "own_file": True}
    assert tasks_of(process)[0] == replace(RESET, type=TaskType.FILE, script="", **own)


def test_a_validation_by_lookup_is_saved_and_listed(doras: Client, company: Company, process: Process) -> None:
    crm = str(factories.make_connection(company, "CRM").public_id)
    given = {"type": "validation", "stage": "validation", "by": "lookup", "expects": "no_row", "lookup_table": "t"}
    match = {"field-0": "code", "with-0": "column:Name", "lookup_connection": crm}
    refused = save(doras, process, "task", line=1, **{**given, **match, "with-0": ""})
    assert refused.context["form"].errors["with-0"] == [
        "code has nothing to be compared with. Choose a column or variable."
    ]
    save(doras, process, "task", line=1, **given, **match)
    (task,) = [item for item in tasks_of(process) if item.type is TaskType.VALIDATION]
    assert task.lookup == Lookup(connection=crm, table="t", matches=(Match(field="code", column="Name"),))
    assert (task.expects, task.statement, task.connection) == (Expects.NO_ROW, "", "")
    assert "t at CRM · It does not exist (no row is found) · code is Name" in tab(doras, process).content.decode()


def test_a_request_is_saved_and_listed_and_its_statuses_are_read(
    doras: Client, company: Company, process: Process
) -> None:
    web = str(factories.make_connection(company, "Web", "http", url="http://127.0.0.1/").public_id)
    request = {"method": "PUT", "path": "notes/[run.number]", "body": '{"a": "[run.name]"}', "expected": "200, 404"}
    save(doras, process, "task", line=1, type="call_http", service=web, **request)
    assert tasks_of(process)[0] == replace(RESET, type=TaskType.CALL_HTTP, script="", connection=web, **request)
    header = {"header-0": "X-Key", "header-value-0": "[GBL_KEY]"}
    save(doras, process, "task", line=1, **header)
    assert tasks_of(process)[0].headers == (Header(name="X-Key", value="[GBL_KEY]"),)
    response = save(doras, process, "task", line=1, **{"header-1": "host", "header-value-2": "x"})
    assert response.context["form"].errors == {
        "header-1": ["The header host is set for each request by Waybill itself. Remove it."],
        "header-2": ["The value of header 3 has no name. Enter one, or clear it."],
    }
    assert "PUT notes/[run.number] at Web" in tab(doras, process).content.decode()
    form = doras.get(reverse("process-task", args=[process.public_id, 1])).context["form"]
    assert [name for _, name in form.fields["service"].choices] == ["Choose a connection", "Web"]
    assert [name for _, name in form.fields["database"].choices] == ["Choose a connection", "CRM of CUSTOMERS"]
    response = save(doras, process, "task", line=1, expected="fine")
    said_so = "“fine” is no status. Write them such as 200-299, 404."
    assert response.context["form"].errors["expected"] == [said_so]
    process.refresh_from_db()
    assert process.drafted.tasks[0].expected == "200, 404"


def test_a_validation_is_saved_where_it_may_stand(doras: Client, process: Process) -> None:
    database = process.drafted.destination.connection
    query = {"type": "validation", "database": database, "statement": "SELECT 1 FROM t", "expects": "no_row"}
    save(doras, process, "task", line=1, **query, stage="validation")
    kept = {"connection": database, "statement": "SELECT 1 FROM t", "expects": Expects.NO_ROW, "script": ""}
    made = replace(RESET, type=TaskType.VALIDATION, stage=Stage.VALIDATION, **kept)
    assert made in tasks_of(process)
    assert (
        "CRM of CUSTOMERS · It does not exist (no row is found) · SELECT 1 FROM t"
        in tab(doras, process).content.decode()
    )
    response = save(doras, process, "task", line=names(process).index("RESET") + 1, stage="document_post_success")
    assert response.context["form"].errors["stage"] == [
        "A validation stands before anything is sent. Choose one of Integration Pre Tasks, Validation Tasks, "
        "Document Pre Tasks."
    ]
    assert made in tasks_of(process)


# Problems ---------------------------------------------------------------------------------------------------------


def test_an_unknown_variable_keeps_the_draft_from_being_runnable_and_leads_to_its_place(
    doras: Client, process: Process
) -> None:
    save(doras, process, "task", line=3, script="this.GBL_FAILED_CUSTOMER = ''; return true;")
    save(doras, process, "restriction", line=1, script="return this.GBL_NEW !== '';")
    home = reverse("process", args=[process.public_id])
    found = problems(doras, process)
    sentence = f"Task COLLECT names GBL_FAILED_CUSTOMER, which is no global variable. Nearest name: {FAILED}."
    assert found[sentence] == f"{home}tasks/3/"
    restriction = next(url for said_of, url in found.items() if said_of.startswith("The restriction of line Customer"))
    assert restriction == f"{home}integration/1/restriction/"


def test_a_task_that_says_nothing_to_do_is_a_problem_until_it_is_switched_off(doras: Client, company: Company) -> None:
    empty = Task(name="EMPTY", type=TaskType.RUN_SCRIPT, stage=Stage.VALIDATION)
    unset = replace(empty, name="UNSET", type=TaskType.SET_VARIABLE)
    nowhere = replace(empty, name="NOWHERE", type=TaskType.RUN_INTEGRATION)
    process = process_with(company, empty, unset, nowhere)
    sentences = [
        "Task EMPTY has no script.",
        "Task UNSET says no variable to set.",
        "Task NOWHERE says no integration to run.",
    ]
    assert [item for item in problems(doras, process) if item.startswith("Task")] == sentences
    for number in (1, 2, 3):
        arrange(doras, process, f"switch-{number}")
    assert [item for item in problems(doras, process) if item.startswith("Task")] == []


# Run Integration --------------------------------------------------------------------------------------------------


def runs(child: Process, name: str = "NOTIFY", **more: Any) -> Task:
    parts = {"stage": Stage.INTEGRATION_POST_SUCCESS, "integration": str(child.public_id), **more}
    return Task(name=name, type=TaskType.RUN_INTEGRATION, **parts)


def offered(client: Client, process: Process) -> dict[str, str]:
    form = client.get(reverse("process-task-new", args=[process.public_id])).context["form"]
    return {name: key for key, name in form.fields["integration"].choices if key}


def test_an_integration_is_run_on_the_parents_data_with_its_variables(
    doras: Client, company: Company, process: Process
) -> None:
    child = process_with(company, name="FLAGS")
    add(
        doras,
        process,
        name="NOTIFY",
        type="run_integration",
        stage="integration_post_success",
        integration=str(child.public_id),
        parent_data="succeeded",
        use_variables="on",
    )
    assert tasks_of(process)[-1] == runs(child, parent_data=ParentData.SUCCEEDED, use_variables=True)
    assert "FLAGS · data from parent: succeeded documents · parent variables" in tab(doras, process).content.decode()


def test_a_process_that_needs_other_columns_is_refused_with_data_from_the_parent_and_says_why(
    doras: Client, company: Company, process: Process
) -> None:
    columns = (Column(name="Name"), Column(name="City"))
    child = process_with(company, name="CITIES", source=SourceSpec(kind="delimited", columns=columns))
    choice = {"name": "N", "type": "run_integration", "integration": str(child.public_id)}
    response = add(doras, process, **choice, parent_data="all")
    why = "CITIES needs City, a column that this source does not have. Choose another integration."
    assert response.context["form"].errors["integration"] == [why]
    assert "offered without data from the parent only" in response.content.decode()
    assert add(doras, process, **choice, parent_data="none").status_code == 200
    assert tasks_of(process)[-1].name == "COLLECT", "it stands before the document's stages"
    assert "N" in names(process)


def test_a_column_of_another_type_is_another_column(doras: Client, company: Company, process: Process) -> None:
    columns = (Column(name="CustomerNumber", type=ValueType.INTEGER),)
    child = process_with(company, name="NUMBERS", source=SourceSpec(kind="delimited", columns=columns))
    task = runs(child, parent_data=ParentData.ALL)
    parent = process_with(company, task, name="PARENT")
    sentence = (
        "Task NOTIFY gives this process's data to NUMBERS, which reads CustomerNumber as integer, and here it is text."
    )
    assert sentence in problems(doras, parent)


def test_a_process_is_offered_neither_itself_nor_one_that_leads_back_to_it(
    doras: Client, company: Company, process: Process
) -> None:
    middle = process_with(company, runs(process), name="MIDDLE")
    process_with(company, runs(middle), name="OUTER")
    process_with(company, name="FREE")
    assert list(offered(doras, process)) == ["FREE"]
    shown = doras.get(reverse("process-task-new", args=[process.public_id])).content.decode()
    assert "leads back to this process: OUTER, which runs MIDDLE, which runs this one" in shown


def test_a_circle_that_was_closed_elsewhere_is_a_problem(doras: Client, company: Company, process: Process) -> None:
    child = process_with(company, name="CHILD")
    parent = process_with(company, runs(child), name="PARENT")
    back: Plan = replace(child.drafted, tasks=(runs(parent, name="BACK"),))
    Process.objects.filter(pk=child.pk).update(draft=back.to_json())
    sentence = "Task NOTIFY leads back to this process: CHILD, which runs this one."
    assert sentence in problems(doras, parent)


def test_an_integration_that_is_gone_or_cannot_run_is_a_problem(doras: Client, company: Company) -> None:
    child = process_with(company, name="CHILD")
    parent = process_with(company, runs(child), name="PARENT")
    assert not any("NOTIFY" in sentence for sentence in problems(doras, parent))
    Process.objects.filter(pk=child.pk).update(is_active=False)
    assert "Task NOTIFY runs CHILD, which is inactive." in problems(doras, parent)
    child.versions.all().delete()
    assert "Task NOTIFY runs CHILD, which has no version yet that runs." in problems(doras, parent)
    child.delete()
    assert "The integration that task NOTIFY runs no longer exists. Choose another one." in problems(doras, parent)


def test_the_question_before_the_trash_says_whose_tasks_run_the_process(doras: Client, company: Company) -> None:
    child = process_with(company, name="CHILD")
    parent = process_with(company, runs(child), name="PARENT")
    shown = doras.get(reverse("process", args=[child.public_id])).content.decode()
    assert "Tasks of 1 other process run it; they will fail." in shown
    assert reverse("process-tasks", args=[parent.public_id]) in shown
    assert "Run by tasks of" not in doras.get(reverse("process", args=[parent.public_id])).content.decode()


@pytest.mark.parametrize("mend", [True, False])
def test_quotes_of_a_word_processor_are_offered_a_fix_in_every_code_box(
    doras: Client, process: Process, mend: bool
) -> None:
    pasted = {"restriction": {"script": "return this._Name != ‘’;"}}
    pasted["mapping"] = {"fields-1-column_type": "calculation", "fields-1-script": "return “x”;"}
    for part, answers in pasted.items():
        response = save(doras, process, part, line=1, **answers, **({"mend": "yes"} if mend else {}))
        assert ("Make them plain and save" in response.content.decode()) is not mend, part
    line = process.drafted.lines[0]
    assert line.restriction == ("return this._Name != '';" if mend else "")
    assert (line.fields[1].value == 'return "x";') is mend


# Test -------------------------------------------------------------------------------------------------------------


def tried(client: Client, process: Process, number: int = 3, **changes: Any) -> Any:
    shown = client.get(reverse("process-task", args=[process.public_id, number]))
    answers = answers_of([shown.context["form"]]) | changes
    return client.post(reverse("process-task-test", args=[process.public_id]), answers)


@pytest.fixture
def sampled(doras: Client, process: Process) -> Process:
    upload_sample(doras, process, b"CustomerNumber,Name\n00001,Anna\n00002,Ben\n")
    return process


def test_a_task_is_tried_on_a_document_of_the_sample_and_changes_nothing(doras: Client, sampled: Process) -> None:
    before = Process.objects.filter(pk=sampled.pk).values().get()
    response = tried(doras, sampled, sample="2")
    result = response.context["tried"]["result"]
    assert (result.well, result.sentence) == (True, "Returned true")
    assert result.variables == [(FAILED, "", "Ben|")]
    assert Process.objects.filter(pk=sampled.pk).values().get() == before
    assert GlobalVariable.objects.get().value == ""


def test_what_is_tried_is_what_stands_on_the_screen(doras: Client, sampled: Process) -> None:
    answers = {"name": "", "script": "return this.run.user === '';", "condition": "return this._Name === 'Anna';"}
    assert tried(doras, sampled, sample="1", **answers).context["tried"]["result"].well is False
    assert tried(doras, sampled, sample="2", **answers).context["tried"]["result"].well is None


def test_a_trial_says_why_it_could_not_be_or_failed(doras: Client, process: Process) -> None:
    assert tried(doras, process).context["tried"]["refused"].startswith("There is no sample file yet.")
    assert "Unexpected token" in tried(doras, process, 1, script="return }").context["tried"]["refused"]
    assert tried(doras, process, 1, script=" ").context["tried"]["refused"] == "There is no script yet to test."
    thrown = tried(doras, process, 1, script="return nothing.here;").context["tried"]["result"]
    assert thrown.well is False and "failed at line 1" in thrown.sentence
    unknown = tried(doras, process, 1, script="return this.GBL_NOWHERE;").context["tried"]["refused"]
    assert "GBL_NOWHERE" in unknown


def test_an_email_is_shown_and_not_sent_by_a_test(doras: Client, sampled: Process, mailoutbox: list[Any]) -> None:
    letter = {"type": "send_email", "to": "a@x.test, b@x.test", "subject": "[_Name] in [run.process]", "text": "Hi"}
    result = tried(doras, sampled, sample="2", **letter).context["tried"]["result"]
    said_so = "Not sent. It would go to a@x.test, b@x.test with the subject “Ben in CUSTOMERS”: Hi"
    assert (result.well, result.sentence, mailoutbox) == (True, said_so, [])
    result = tried(doras, sampled, **letter | {"to": "nobody"}).context["tried"]["result"]
    assert (result.well, result.sentence) == (False, "The task would fail: “nobody” is no e-mail address.")
    assert tried(doras, sampled, **letter | {"to": ""}).context["tried"]["refused"] == "Enter an address first."


def test_a_validation_is_really_asked_by_a_test(
    doras: Client, company: Company, sampled: Process, settings: Any, tmp_path: Path
) -> None:
    settings.FOLDERS = [tmp_path]
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE customers (name TEXT)")
        database.execute("INSERT INTO customers VALUES ('Ben')")
    crm = factories.make_connection(company, "CRM", system="sqlite", path=str(tmp_path / "crm.db"))
    query = {
        "type": "validation",
        "stage": "document_pre",
        "database": str(crm.public_id),
        "statement": "SELECT name FROM customers WHERE name = [_Name]",
    }

    def said_of(sample: str, **changes: str) -> tuple[bool | None, str]:
        result = tried(doras, sampled, sample=sample, **query | changes).context["tried"]["result"]
        return result.well, result.sentence

    assert said_of("2") == (True, "Valid")
    assert said_of("1") == (False, "The task would fail: its query gives no row.")
    found = "The task would fail: its query gives what should not be there: Ben."
    assert said_of("2", expects="no_row") == (False, found)
    assert said_of("2", statement="DELETE FROM customers")[1].startswith("The task would fail: CRM refuses")
    refused = tried(doras, sampled, **query | {"statement": ""}).context["tried"]["refused"]
    assert refused == "Choose the database and write the query first."


def test_setting_a_variable_is_tried_too(doras: Client, process: Process) -> None:
    answers = {"type": "set_variable", "variable": FAILED, "value": "a[GBL_FAILED_CUSTOMERS]b"}
    assert tried(doras, process, 1, **answers).context["tried"]["result"].variables == [(FAILED, "", "ab")]
    refused = tried(doras, process, 1, type="set_variable", variable="").context["tried"]["refused"]
    assert refused == "Choose the variable first."
