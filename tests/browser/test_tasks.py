"""A designer adds the tasks of spec 10's worked example by clicking: what fails is remembered, then told to a child."""

from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django_scopes import scope
from playwright.sync_api import Locator, Page, expect

from accounts.models import Company, User
from integrations.engine.plan import Column, ParentData, Plan, SourceSpec, Stage, Task, TaskType
from integrations.models import GlobalVariable, Process
from tests import factories

FAILED = "GBL_FAILED_CUSTOMERS"
COLUMNS = (Column(name="companyName"), Column(name="email"))
NOTIFY = Task(
    name="NOTIFY_NS_OF_SUCCESS_S",
    type=TaskType.RUN_INTEGRATION,
    stage=Stage.INTEGRATION_POST_SUCCESS,
    parent_data=ParentData.ALL,
    use_variables=True,
)


@pytest.fixture
def signed_in(page: Page, live_server: Any, client: Client, dora: User, settings: Any) -> Page:
    """The page of a browser in which Dora is signed in."""
    client.force_login(dora)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    return page


def process_named(company: Company, name: str, columns: tuple[Column, ...] = COLUMNS) -> Process:
    connection = factories.make_connection(company, f"CRM of {name}")
    source = SourceSpec(kind="delimited", columns=columns)
    plan: Plan = factories.make_plan(connection, process=name, source=source, key_fields=("companyName",))
    fields = tuple(replace(item, value="companyName") for item in plan.lines[0].fields)
    return factories.make_process(company, replace(plan, lines=(replace(plan.lines[0], fields=fields),)))


@pytest.mark.django_db(transaction=True)
def test_each_type_of_task_shows_what_is_its_own(signed_in: Page, live_server: Any, company: Company) -> None:
    page = signed_in
    process = process_named(company, "CUSTOMERS")
    factories.make_connection(company, "Web", "http", url="http://127.0.0.1/")
    page.goto(f"{live_server.url}/processes/{process.public_id}/tasks/new/")
    own = {
        "Send E-mail": (["To", "Subject", "Text"], True),
        "Run SQL": (["Database", "SQL", "Keep the answer in"], False),
        "Call HTTP": (["Service", "Path", "JSON body", "Keep the answer in"], False),
        "Validation": (["Database", "Valid when", "SQL"], True),
        "File": (["What to do", "Folder", "Files", "To folder", "New name"], False),
        "Run Script": (["JavaScript Code"], True),
    }
    labels = {label for fields, _ in own.values() for label in fields}
    for kind, (fields, has_test) in own.items():
        page.get_by_label("Type").select_option(label=kind)
        for label in sorted(labels):
            expect(page.get_by_label(label, exact=True)).to_be_visible(visible=label in fields)
        expect(page.get_by_role("button", name="Test", exact=True)).to_be_visible(visible=has_test)
        assert Axe().run(page).violations_count == 0, kind
    page.get_by_label("Type").select_option(label="Call HTTP")
    page.get_by_role("textbox", name="Name*").fill("TELL")
    page.get_by_label("Service").select_option(label="Web")
    page.get_by_label("Path").fill("notes")
    page.get_by_role("button", name="Save to the draft", exact=True).click()
    expect(page.get_by_text("Task TELL is saved to the draft.")).to_be_visible()
    expect(page.get_by_text("POST notes at Web")).to_be_visible()


@pytest.mark.django_db(transaction=True)
def test_a_designer_adds_the_tasks_of_the_worked_example_by_clicking(
    signed_in: Page, live_server: Any, company: Company
) -> None:
    page = signed_in
    parent, child = process_named(company, "CUSTOMERS"), process_named(company, "UPDATE_FLAGS")
    process_named(company, "CITIES", (Column(name="city"),))

    page.goto(f"{live_server.url}/global-variables/")
    page.get_by_role("link", name="Create the first one").click()
    page.get_by_label("Name").fill("failed_customers")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name=f"Save as {FAILED}").click()
    expect(page.get_by_text(f"{FAILED} is saved")).to_be_visible()

    page.goto(f"{live_server.url}/processes/{parent.public_id}/")
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_text("No task")).to_have_count(8)
    _add(page, "RESET_FAILED_RECORDS", "Integration Pre Tasks")
    page.get_by_role("button", name=FAILED).click()
    page.keyboard.type(" = 'x';\nreturn true;")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_role("region", name="Variables after the test")).to_contain_text(f"{FAILED} empty x")
    page.get_by_label("JavaScript Code").fill(f"this.{FAILED} = '';\nreturn true;")
    page.get_by_role("button", name="Save to the draft", exact=True).click()
    expect(page.get_by_text("Task RESET_FAILED_RECORDS is saved to the draft.")).to_be_visible()

    _add(page, "UPDATE_FAILED_RECORDS", "Document Post Failure Tasks")
    expect(page.get_by_text("The remaining tasks of this document are skipped.").first).to_be_visible()
    page.get_by_role("button", name=FAILED).click()
    page.keyboard.type(" = ")
    page.get_by_role("button", name=FAILED).click()
    page.keyboard.type(" + ")
    page.get_by_role("button", name="_companyName").click()
    page.keyboard.type(" + '|';\nreturn true;")
    page.get_by_role("button", name="Save to the draft", exact=True).click()

    for end, stage in (("S", "Integration Post Success Tasks"), ("F", "Integration Post Failure Tasks")):
        _add(page, f"NOTIFY_NS_OF_SUCCESS_{end}", stage, "Run Integration")
        page.get_by_label("Use data from parent").select_option(label="All documents")
        unfit = page.get_by_label("Integration to Run").locator("option", has_text="CITIES")
        expect(unfit).to_be_disabled()
        page.get_by_label("Integration to Run").select_option(label="UPDATE_FLAGS")
        page.get_by_label("Use Parent Variables").check()
        page.get_by_role("button", name="Save to the draft", exact=True).click()

    expect(page.get_by_text("4 tasks in 4 of 8 stages")).to_be_visible()
    with scope(company=company):
        parent.refresh_from_db()
        assert parent.drafted.tasks == (
            Task(
                name="RESET_FAILED_RECORDS",
                type=TaskType.RUN_SCRIPT,
                stage=Stage.INTEGRATION_PRE,
                script=f"this.{FAILED} = '';\nreturn true;",
            ),
            Task(
                name="UPDATE_FAILED_RECORDS",
                type=TaskType.RUN_SCRIPT,
                stage=Stage.DOCUMENT_POST_FAILURE,
                script=f"this.{FAILED} = this.{FAILED} + this._companyName + '|';\nreturn true;",
            ),
            replace(NOTIFY, integration=str(child.public_id)),
            replace(
                NOTIFY,
                name="NOTIFY_NS_OF_SUCCESS_F",
                stage=Stage.INTEGRATION_POST_FAILURE,
                integration=str(child.public_id),
            ),
        )

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Version 2 is saved")).to_be_visible()


def _add(page: Page, name: str, stage: str, kind: str = "Run Script") -> None:
    page.get_by_role("link", name="Add Task", exact=True).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Type").select_option(label=kind)
    page.get_by_label("Stage").select_option(label=stage)


def furnished(company: Company) -> Process:
    """A process with three tasks and two variables, one of its own."""
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name=FAILED)
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
    process = process_named(company, "CUSTOMERS")
    first = Task(
        name="FIRST", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script=f"this.{FAILED} = ''; return true;"
    )
    set_it = Task(
        name="SECOND", type=TaskType.SET_VARIABLE, stage=Stage.INTEGRATION_PRE, variable=FAILED, value="[GBL_REGION]"
    )
    plan = replace(process.drafted, tasks=(first, set_it, replace(NOTIFY, enabled=False)))
    with scope(company=company):
        Process.objects.filter(pk=process.pk).update(draft=plan.to_json())
    return process


@pytest.mark.django_db(transaction=True)
def test_a_task_is_moved_by_keyboard_and_deleted_after_a_question_in_place(
    signed_in: Page, live_server: Any, company: Company
) -> None:
    page, process = signed_in, furnished(company)
    names = page.locator("[data-task] a.name")
    page.goto(f"{live_server.url}/processes/{process.public_id}/tasks/")

    page.get_by_role("link", name="FIRST").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(names).to_have_text(["SECOND", "FIRST", "NOTIFY_NS_OF_SUCCESS_S"])
    expect(page.get_by_role("link", name="FIRST")).to_be_focused()

    page.locator("summary", has_text="More for FIRST").click()
    page.locator("summary", has_text="Delete FIRST").click()
    page.get_by_role("button", name="Yes, delete").locator("visible=true").click()
    expect(page.get_by_text("FIRST is deleted, in the draft.")).to_be_visible()
    expect(names).to_have_text(["SECOND", "NOTIFY_NS_OF_SUCCESS_S"])


@pytest.mark.django_db(transaction=True)
def test_tasks_and_lines_are_dragged_to_their_place_and_moved_by_keys(
    signed_in: Page, live_server: Any, company: Company
) -> None:
    page, process = signed_in, furnished(company)
    (line,) = process.drafted.lines
    third = Task(name="THIRD", type=TaskType.SET_VARIABLE, stage=Stage.INTEGRATION_PRE, variable=FAILED, value="x")
    with scope(company=company):
        process.refresh_from_db()
        draft = process.drafted
        tasks = (*draft.tasks[:2], third, *draft.tasks[2:])
        lines = tuple(replace(line, name=name) for name in ("One", "Two", "Three"))
        Process.objects.filter(pk=process.pk).update(draft=replace(draft, tasks=tasks, lines=lines).to_json())
    said = page.locator("[data-order-says]")

    page.goto(f"{live_server.url}/processes/{process.public_id}/tasks/")
    _drag(page, page.locator("#task-1"), page.locator("#task-3"))
    expect(page.locator("[data-task] a.name")).to_have_text(["SECOND", "THIRD", "FIRST", "NOTIFY_NS_OF_SUCCESS_S"])
    expect(said).to_have_text("FIRST is 3 of 3.")

    page.set_viewport_size({"width": 1280, "height": 1600})
    page.goto(f"{live_server.url}/processes/{process.public_id}/target/")
    titles = page.locator("[data-place] h3")
    _drag(page, page.locator("#line-3"), page.locator("#line-1"))
    expect(titles).to_have_text(["1 Three", "2 One", "3 Two"])
    expect(said).to_have_text("Three is 1 of 3.")
    page.keyboard.press("Alt+ArrowDown")
    expect(titles).to_have_text(["1 One", "2 Three", "3 Two"])
    expect(said).to_have_text("Three is 2 of 3.")
    assert Axe().run(page).violations_count == 0
    with scope(company=company):
        process.refresh_from_db()
    assert [item.name for item in process.drafted.lines] == ["One", "Three", "Two"]


def _drag(page: Page, item: Locator, onto: Locator) -> None:
    """Drag `item` by its handle to where `onto` is: behind it when that stands lower, else before it."""
    begin, end = item.bounding_box(), onto.bounding_box()
    assert begin and end
    item.locator("[data-handle]").hover()
    page.mouse.down()
    page.mouse.move(end["x"] + 5, end["y"] + (end["height"] - 2 if end["y"] > begin["y"] else 2), steps=4)
    page.mouse.up()


@pytest.mark.django_db(transaction=True)
def test_a_name_is_dragged_into_the_code(signed_in: Page, live_server: Any, company: Company) -> None:
    page, process = signed_in, furnished(company)
    page.goto(f"{live_server.url}/processes/{process.public_id}/tasks/new/")
    expect(page.locator("li[data-token='this._email']")).to_be_hidden()  # A stage of the integration has no document.
    # Both ends are in view and where they stay: a drag must not scroll the page.
    page.set_viewport_size({"width": 1280, "height": 1400})
    expect(page.locator(".cm-content")).to_have_count(2)
    page.get_by_label("Stage").select_option("Document Pre Tasks")

    page.locator("li[data-token='this._email'] button").drag_to(page.locator(".of-code .cm-content"))

    expect(page.get_by_label("JavaScript Code")).to_have_text("this._email")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_where_tasks_and_variables_are_defined(
    signed_in: Page, live_server: Any, company: Company, dora: User, theme: str
) -> None:
    dora.theme = theme
    dora.save(update_fields=["theme"])
    page, process = signed_in, furnished(company)
    with scope(company=company):
        variable = GlobalVariable.objects.get(name=FAILED)
    home = f"/processes/{process.public_id}/"
    pages = [f"{home}tasks/", *(f"{home}tasks/{part}/" for part in ("new", 1, 2, 3)), f"{home}variables/"]
    pages += ["/global-variables/", "/global-variables/new/", f"/global-variables/{variable.public_id}/"]
    found: dict[str, list[str]] = {}

    for path in pages:
        page.goto(live_server.url + path)
        found[path] = [violation["id"] for violation in Axe().run(page).response["violations"]]

    assert {path: rules for path, rules in found.items() if rules} == {}
