"""What an import does with each thing it meets: new, same, changed or in conflict; and what it never does."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.db import connection
from django.utils import timezone
from django_scopes import scope

from accounts.models import AuditEntry, Company, Membership, Role, User
from integrations.engine.errors import AdministratorError
from integrations.engine.plan import (
    ColumnType,
    FieldMap,
    Options,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Translation,
    Variable,
)
from integrations.exchange.bundle import Thing, read_upload, zipped
from integrations.exchange.importing import Choice, Importer, Item, look, seen, take
from integrations.exchange.text import NotTaken
from integrations.exchange.things import everything, one, with_what_it_needs
from integrations.models import Connection, GlobalVariable, Process, RollingNumber, TranslationTable
from integrations.models.vault import vault_of
from integrations.runs.connections import opened
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def there(db: None) -> Company:
    """The company that is exported from."""
    return factories.make_company("There Ltd")


@pytest.fixture
def here(company: Company) -> Iterator[Company]:
    """The company that is imported into, active."""
    with scope(company=company):
        yield company


def http(company: Company, name: str = "Shop", **secrets: str) -> Connection:
    with scope(company=company):
        settings = {"url": "https://shop.example", "auth": "bearer"}
        connection = Connection(company=company, name=name, connector="http", settings=settings)
        for secret, text in secrets.items():
            connection.seal_secret(secret, text)
        connection.save()
        return connection


SQLITE = {"system": "sqlite", "path": "/a.db"}


def of(company: Company) -> list[Thing]:
    """All that a company defines, as another one would read it."""
    with scope(company=company):
        return read_upload(io.BytesIO(zipped(everything())), "x.zip")


def by(company: Company) -> Importer:
    return Importer(company, "x.zip")


def in_brief(items: list[Item]) -> list[tuple[str, str, list[str], list[str]]]:
    return [(item.thing.name, item.state, item.changes, item.notes) for item in items]


def state(company: Company) -> list[str]:
    with scope(company=company):
        return [file.text for file in everything()]


def test_everything_arrives_and_a_second_import_finds_the_same(there: Company, here: Company) -> None:
    crm = factories.make_connection(there, system="sqlite", path="/srv/crm.db")
    with scope(company=there):
        GlobalVariable.objects.create(company=there, name="GBL_A", value="a\nb", description="for b")
        table = TranslationTable.make(there, by=None, name="Countries", pairs=[("DE", "Germany"), ("", "none")])
        sequence = RollingNumber.objects.create(company=there, name="Orders", prefix="O-", next_number=7)
    how = Translation(table=str(table.public_id))
    numbered = FieldMap(target="Order", column_type=ColumnType.ROLLING_NUMBER, sequence=str(sequence.public_id))
    field = FieldMap(target="name", column_type=ColumnType.TRANSLATION, value="Name", translation=how)
    plan = factories.make_plan(crm)
    line = replace(plan.lines[0], fields=(plan.lines[0].fields[0], field))
    child = factories.make_process(there, replace(plan, process="ZZ_CHILD", lines=(line,), additional=(numbered,)))
    task = Task(
        name="CHILD",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_POST_SUCCESS,
        integration=str(child.public_id),
    )
    parent = factories.make_process(there, replace(plan, process="PARENT", tasks=(task,)))
    with scope(company=there):
        Process.objects.filter(pk=parent.pk).update(
            group="Nightly", description="Of the shop", draft=replace(parent.drafted, key_fields=()).to_json()
        )

    items = take(of(there), by(here))

    assert {(item.thing.name, item.state, item.version) for item in items} == {
        ("Demo CRM", "new", None),
        ("GBL_A", "new", None),
        ("Countries", "new", None),
        ("Orders", "new", None),
        ("ZZ_CHILD", "new", 1),
        ("PARENT", "new", 1),
    }
    assert state(here) == state(there)
    assert {item.state for item in look(of(there), by(here))} == {"same"}
    taken = Process.objects.get(name="PARENT")
    assert taken.drafted.key_fields == () and taken.newest_version is not None
    assert taken.newest_version.plan.tasks[0].integration == str(Process.objects.get(name="ZZ_CHILD").public_id)
    assert str(crm.public_id) not in str(taken.draft)


def test_people_come_along_by_their_addresses(there: Company, here: Company) -> None:
    crm = factories.make_connection(there, system="sqlite", path="/a.db")
    process = factories.make_process(there, factories.make_plan(crm))
    closed = factories.make_process(there, factories.make_plan(crm, process="CLOSED"))
    eve, olaf = (
        factories.make_user(f"{name}@both.test", company=there, role=Role.OPERATOR) for name in ("eve", "Olaf")
    )
    for person in (eve, olaf):
        Membership.objects.create(user=person, company=here, role=Role.DESIGNER)
    with scope(company=there):
        Process.objects.filter(pk=process.pk).update(owner=olaf)
        process.runners.set([olaf, eve])
        Process.objects.filter(pk=closed.pk).update(only_administrators_run=True)

    items = take(of(there), by(here))

    assert [item.notes for item in items] == [[], [], []]
    assert state(here) == state(there)
    taken = Process.objects.get(name=process.name)
    assert (taken.owner, set(taken.runners.all())) == (olaf, {eve, olaf})
    assert Process.objects.get(name="CLOSED").only_administrators_run
    assert {item.state for item in look(of(there), by(here))} == {"same"}


def test_who_is_no_member_is_left_out_and_never_opens_a_process_to_everyone(
    there: Company, here: Company, ada: User, omar: User, dora: User
) -> None:
    process = factories.make_process(
        there, factories.make_plan(factories.make_connection(there, system="sqlite", path="/a.db"))
    )
    eve, finn = (
        factories.make_user(f"{name}@there.test", company=there, role=Role.OPERATOR) for name in ("eve", "finn")
    )
    with scope(company=there):
        Process.objects.filter(pk=process.pk).update(owner=eve)
        process.runners.set([eve, finn])

    (_, item) = take(of(there), by(here))

    assert item.notes == [
        "Its owner eve@there.test: no member with this address, left out.",
        "Who may run it, eve@there.test: no member with this address, left out.",
        "Who may run it, finn@there.test: no member with this address, left out.",
        "Nobody is left of those who may run it: administrators only, until others are named in its options.",
    ]
    taken = Process.objects.get(name=process.name)
    assert (taken.owner, taken.may_be_run_by(omar), taken.may_be_run_by(dora), taken.may_be_run_by(ada)) == (
        None, False, False, True,
    )  # fmt: skip


def test_what_changes_of_the_people_is_told_before_it_does(
    there: Company, here: Company, omar: User, dora: User
) -> None:
    for company in (there, here):
        process = factories.make_process(
            company, factories.make_plan(factories.make_connection(company, system="sqlite", path="/a.db"))
        )
    process.runners.set([omar])
    Process.objects.filter(pk=process.pk).update(owner=dora)

    item = look(of(there), by(here))[-1]

    assert item.changes == [
        f"owner: empty instead of {dora}",
        f"who may run it: everyone whose role allows it instead of {omar}",
    ]
    assert list(process.runners.all()) == [omar]


def test_a_rolling_number_never_moves_back(there: Company, here: Company) -> None:
    for company, prefix, number in ((there, "N-", 7), (here, "O-", 9)):
        with scope(company=company):
            RollingNumber.objects.create(company=company, name="Orders", prefix=prefix, next_number=number)

    items = take(of(there), by(here))

    assert in_brief(items) == [("Orders", "changed", ["prefix: N- instead of O-"], [])]
    assert RollingNumber.objects.get().next == "N-9"


def test_a_look_tells_the_same_and_changes_nothing(there: Company, here: Company) -> None:
    factories.make_process(there, factories.make_plan(factories.make_connection(there, system="sqlite", path="/a.db")))
    entries = AuditEntry.objects.count()

    looked = look(of(there), by(here))

    assert state(here) == [] and AuditEntry.objects.count() == entries
    assert in_brief(looked) == in_brief(take(of(there), by(here)))
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "connection.imported", "process.imported", "process.version_saved",
    }  # fmt: skip


def test_what_is_there_is_changed_in_words(there: Company, here: Company) -> None:
    for company, path, value, to in ((there, "/new.db", "new", "NEW"), (here, "/old.db", "old", "OLD")):
        crm = factories.make_connection(company, system="sqlite", path=path)
        plan = factories.make_plan(crm, options=Options(separator=value))
        factories.make_process(company, plan)
        with scope(company=company):
            GlobalVariable.objects.create(company=company, name="GBL_A", value=value)
            TranslationTable.make(company, by=None, name="T", pairs=[("a", to)])
    public_ids = {str(process.public_id) for process in Process.objects.all()}

    items = take(of(there), by(here))

    assert in_brief(items) == [
        ("Demo CRM", "changed", ["File: /new.db instead of /old.db"], []),
        ("GBL_A", "changed", ["value: new instead of old"], []),
        ("T", "changed", ["a → NEW instead of OLD"], []),
        ("CUSTOMERS_TO_CRM", "changed", ["Options: the separator"], []),
    ]
    assert items[-1].version == 2
    assert {str(process.public_id) for process in Process.objects.all()} == public_ids, "it is the same process"


def test_what_is_not_chosen_stays_as_it_is(there: Company, here: Company) -> None:
    with scope(company=there):
        for name in ("GBL_A", "GBL_B"):
            GlobalVariable.objects.create(company=there, name=name, value="there")

    take(of(there), by(here), Choice(taken={("global variable", "GBL_B")}))

    assert [variable.name for variable in GlobalVariable.objects.all()] == ["GBL_B"]


# Secrets -----------------------------------------------------------------------------------------------------------


def test_no_secret_is_exported_and_an_import_waits_for_it(there: Company, here: Company) -> None:
    http(there, secret="s3cret-of-theirs")
    assert "s3cret" not in "".join(state(there))

    (item,) = take(of(there), by(here))

    assert list(item.needs) == ["secret"]
    assert "It needs its" in item.notes[0]
    with pytest.raises(AdministratorError, match="Shop was imported without its secret"):
        opened(Connection.objects.select_related("company").get())
    assert state(here) == state(there), "what it waits for is exported like what it has"


def test_a_secret_that_is_typed_in_is_kept_and_a_later_import_keeps_it(there: Company, here: Company) -> None:
    http(there, secret="theirs")

    take(of(there), by(here), Choice(secrets={("connection", "Shop", "secret"): "ours"}))
    (again,) = take(of(there), by(here))

    connection = Connection.objects.select_related("company").get()
    assert opened(connection).settings["secret"].reveal() == "ours"
    assert again.state == "same" and not again.needs


def test_a_stored_secret_is_never_sent_to_where_an_import_leads(there: Company, here: Company) -> None:
    http(here, secret="ours")
    elsewhere = http(there, secret="x")
    with scope(company=there):
        Connection.objects.filter(pk=elsewhere.pk).update(settings={**elsewhere.settings, "url": "https://evil.test"})

    (item,) = take(of(there), by(here))

    assert list(item.needs) == ["secret"]
    connection = Connection.objects.select_related("company").get()
    assert connection.settings["url"] == "https://evil.test" and connection.secrets == {}


def secure(company: Company, text: str) -> str:
    """The handle of a secure value of GBL_KEY."""
    return vault_of(company).sealed("GBL_KEY", text)


def test_a_secure_value_is_not_exported_and_what_is_set_here_stays(there: Company, here: Company) -> None:
    for company, text in ((there, "theirs-is-secret"), (here, "ours-is-secret")):
        with scope(company=company):
            GlobalVariable.objects.create(company=company, name="GBL_KEY", is_secure=True, value=secure(company, text))
            GlobalVariable.objects.create(company=company, name="GBL_TOO", is_secure=company == there, value="")
        own = Variable(name="GBL_KEY", value=secure(company, f"own-{text}"), secure=True)
        crm = factories.make_connection(company, system="sqlite", path="/a.db")
        separator = Options(separator=text[:3])
        factories.make_process(company, factories.make_plan(crm, variables=(own,), options=separator))
    assert "~GBL_KEY~" not in "".join(state(there))

    items = {item.thing.name: item for item in take(of(there), by(here))}

    assert items["GBL_KEY"].state == "same"
    assert (items["GBL_TOO"].changes, list(items["GBL_TOO"].needs)) == (["secure"], ["value"])
    assert vault_of(here).opened(GlobalVariable.objects.get(name="GBL_KEY").value) == "ours-is-secret"
    (variable,) = Process.objects.get().drafted.variables
    assert vault_of(here).opened(variable.value) == "own-ours-is-secret"
    assert items["CUSTOMERS_TO_CRM"].version == 2 and not items["CUSTOMERS_TO_CRM"].notes
    assert state(here) == state(there)


def test_a_secure_value_waits_to_be_typed_in(there: Company, here: Company) -> None:
    own = Variable(name="GBL_KEY", value=secure(there, "own-is-secret"), secure=True)
    factories.make_process(
        there, factories.make_plan(factories.make_connection(there, "X", **SQLITE), variables=(own,))
    )
    with scope(company=there):
        GlobalVariable.objects.create(company=there, name="GBL_KEY", is_secure=True, value=secure(there, "is-secret"))

    looked = {item.thing.name: item for item in look(of(there), by(here))}
    take(of(there), by(here), Choice(secrets={("global variable", "GBL_KEY", "value"): "typed-in-secret"}))

    assert list(looked["GBL_KEY"].needs) == ["value"]
    assert "It needs its own value of GBL_KEY: exports hold no secure values." in looked["CUSTOMERS_TO_CRM"].notes
    assert vault_of(here).opened(GlobalVariable.objects.get().value) == "typed-in-secret"
    assert state(here) == state(there)


def test_a_sealed_value_in_a_file_is_refused(here: Company) -> None:
    thing = Thing("global variable", "GBL_A", {"value": f"x{secure(here, 'something secret')}"}, "v.yaml")

    with pytest.raises(NotTaken, match=r"v\.yaml, value holds a sealed value"):
        take([thing], by(here))


def test_a_value_of_a_variable_that_is_secure_here_is_sealed(here: Company) -> None:
    GlobalVariable.objects.create(company=here, name="GBL_KEY", is_secure=True)
    own = (Variable(name="GBL_KEY", value="in-the-clear"),)
    process = factories.make_process(here, factories.make_plan(factories.make_connection(here), variables=own))
    things = read_upload(io.BytesIO(one(process).text.encode()), "x.yaml")

    take(things, by(here))

    (variable,) = Process.objects.get().drafted.variables
    assert variable.secure and variable.value is not None and "in-the-clear" not in variable.value


# Conflicts and what is missing --------------------------------------------------------------------------------------


def test_a_name_that_differs_in_its_case_only_is_a_conflict(there: Company, here: Company) -> None:
    factories.make_connection(there, "demo crm", system="sqlite", path="/a.db")
    factories.make_connection(here, "Demo CRM", system="sqlite", path="/b.db")

    (item,) = take(of(there), by(here))

    assert (item.state, item.notes) == (
        "conflict", ["There is already a connection named “demo crm”. Choose another name."],
    )  # fmt: skip
    assert Connection.objects.get().settings["path"] == "/b.db"


def test_a_connector_that_is_not_known_is_a_conflict(here: Company) -> None:
    thing = Thing("connection", "SAP", {"connector": "sap"}, "sap.yaml")

    assert in_brief(take([thing], by(here))) == [("SAP", "conflict", [], ["This Waybill has no connector “sap”."])]


def test_a_process_of_the_trash_stays_there(there: Company, here: Company) -> None:
    factories.make_process(there, factories.make_plan(factories.make_connection(there, system="sqlite", path="/a.db")))
    old = factories.make_process(here, factories.make_plan(factories.make_connection(here, "Other")))
    Process.objects.filter(pk=old.pk).update(trashed_at=timezone.now())

    item = take(of(there), by(here))[-1]

    assert item.state == "new" and "is in the trash. It stays there" in item.notes[0]
    assert Process.objects.kept().get().pk != old.pk


def test_without_its_connection_a_process_stays_a_draft_and_says_so(there: Company, here: Company) -> None:
    process = factories.make_process(there, factories.make_plan(factories.make_connection(there, "ERP")))
    with scope(company=there):
        things = read_upload(io.BytesIO(one(process).text.encode()), "x.yaml")

    (item,) = take(things, by(here))

    assert item.notes == [
        "The connection ERP is not here.",
        "It stays a draft until this is put right: The connection of the destination no longer exists. Choose another one.",
    ]
    assert Process.objects.get().newest_version is None


def test_a_draft_that_no_version_has_is_not_overwritten_unsaid(there: Company, here: Company) -> None:
    for company in (there, here):
        crm = factories.make_connection(company, system="sqlite", path="/a.db")
        process = factories.make_process(company, factories.make_plan(crm))
    Process.objects.filter(pk=process.pk).update(draft=replace(process.drafted, key_fields=()).to_json())

    item = look(of(there), by(here))[-1]

    assert item.state == "changed"
    assert item.notes == ["Its draft here has 1 change that no version has. Taking it overwrites them."]


def test_processes_that_run_one_another_in_a_circle_are_told_so(there: Company, here: Company) -> None:
    crm = factories.make_connection(there, system="sqlite", path="/a.db")
    one_, other = (factories.make_process(there, factories.make_plan(crm, process=name)) for name in "AB")
    for process, runs in ((one_, other), (other, one_)):
        task = Task(
            name="T", type=TaskType.RUN_INTEGRATION, stage=Stage.INTEGRATION_PRE, integration=str(runs.public_id)
        )
        with scope(company=there):
            process.versions.update(plan_json=replace(process.drafted, tasks=(task,)).to_json())

    items = take(of(there), by(here))[1:]

    assert all("leads back to this process" in item.notes[0] or "no version yet" in item.notes[0] for item in items)
    assert [process.newest_version for process in Process.objects.all()] == [None, None]


def test_another_companys_things_are_never_reached(there: Company, here: Company) -> None:
    theirs = factories.make_connection(there, system="sqlite", path="/theirs.db")
    plan = {"source": {"kind": "delimited"}, "destination": {"kind": "sql", "connection": str(theirs.public_id)}}
    named = {"source": {"kind": "delimited"}, "destination": {"kind": "sql", "connection": "Demo CRM"}}
    before = state(there)

    items = take(
        [Thing("process", "A", {"draft": plan}, "a.yaml"), Thing("process", "B", {"version": named}, "b.yaml")],
        by(here),
    )

    assert items[1].notes[0] == "The connection Demo CRM is not here."
    assert state(there) == before
    assert all(str(theirs.public_id) not in process.draft["destination"]["connection"] or process.name == "A"
               for process in Process.objects.all())  # fmt: skip


DRAFT = {"source": {"kind": "delimited"}, "destination": {"kind": "sql", "connection": "C"}}
WRONG: list[tuple[Thing, str]] = [
    (Thing("connection", "C", {"connector": "sql", "hostt": 1}, "c.yaml"), "c.yaml: a connection has no “hostt”."),
    (Thing("connection", "C", {"connector": ["sql"]}, "c.yaml"), "c.yaml, connector: a text belongs there."),
    (Thing("connection", "C", {"connector": "sql", "settings": []}, "c.yaml"), "c.yaml, settings: names with values"),
    (
        Thing("connection", "C", {"connector": "sql", "settings": {"password": "x"}}, "c.yaml"),
        "c.yaml: “password” is no setting of",
    ),
    (
        Thing("connection", "C", {"connector": "sql", "settings": {"path": {"a": 1}}}, "c.yaml"),
        "c.yaml, path: one value belongs there.",
    ),
    (Thing("connection", "C", {"connector": "sql", "secrets": ["pin"]}, "c.yaml"), "c.yaml, secrets: a list of"),
    (Thing("global variable", "GBL_A", {"value": 5}, "v.yaml"), "v.yaml, value: a text belongs there. Put 5 into"),
    (Thing("translation table", "T", {"rows": ["a"]}, "t.yaml"), "t.yaml, rows: one row a line belongs there"),
    (Thing("rolling number", "S", {"width": "a"}, "s.yaml"), "s.yaml, width: a whole number belongs there."),
    (Thing("translation table", "T", {"rows": {"a": 1}}, "t.yaml"), "t.yaml, row a: a text belongs there."),
    (Thing("translation table", "T", {"rows": {"a": "b\tc"}}, "t.yaml"), "t.yaml, rows: “a”: a value holds a line"),
    (Thing("process", "P", {}, "p.yaml"), "p.yaml holds neither a version nor a draft."),
    (Thing("process", "P", {"active": "no", "draft": DRAFT}, "p.yaml"), "p.yaml, active: true or false belongs there."),
    (Thing("process", "P", {"draft": {}}, "p.yaml"), "p.yaml, draft: source is missing. Add it."),
    (Thing("process", "P", {"runners": "me", "draft": DRAFT}, "p.yaml"), "p.yaml, runners: a list of e-mail addresses"),
    (Thing("process", "P", {"owner": 1, "draft": DRAFT}, "p.yaml"), "p.yaml, owner: a text belongs there."),
]


@pytest.mark.parametrize(("thing", "sentence"), WRONG)
def test_a_file_that_is_wrong_takes_everything_back(here: Company, thing: Thing, sentence: str) -> None:
    good = Thing("global variable", "GBL_GOOD", {"value": "x"}, "good.yaml")

    with pytest.raises(NotTaken) as refused:
        take([good, thing], by(here))

    assert refused.value.sentence.startswith(sentence)
    assert state(here) == []


@pytest.mark.parametrize(
    ("thing", "note"),
    [
        (Thing("global variable", "lower", {"value": "x"}, "v.yaml"), "A name begins with GBL_"),
        (Thing("global variable", "GBL_A", {"value": "x" * 100_001}, "v.yaml"), "at most 100000 characters"),
        (Thing("process", "P" * 121, {"draft": DRAFT}, "p.yaml"), "at most 120 characters"),
        (
            Thing("connection", "C", {"connector": "sql", "settings": {"system": "nosuch"}}, "c.yaml"),
            "no longer offered",
        ),
    ],
)
def test_what_the_forms_refuse_is_a_conflict(here: Company, thing: Thing, note: str) -> None:
    (item,) = take([thing], by(here))

    assert item.state == "conflict" and note in item.notes[0]
    assert state(here) == []


def test_a_plan_of_odd_parts_is_kept_as_a_draft(here: Company) -> None:
    odd = FieldMap(target="a", column_type=ColumnType.TRANSLATION, value="b")
    dated = FieldMap(target="b", column_type=ColumnType.DATE_CALCULATION)
    plan = factories.make_plan(factories.make_connection(here), source=SourceSpec(kind="nosuch"))
    plan = replace(plan, lines=(replace(plan.lines[0], fields=(odd, dated)), plan.lines[0]))
    process = factories.make_process(here, plan)
    things = read_upload(io.BytesIO(one(process).text.encode()), "x.yaml")
    process.change(
        revision=0,
        by=None,
        draft=Plan(process=process.name, source=SourceSpec(kind=""), destination=plan.destination).to_json(),
    )

    (item,) = take(things, by(here))

    assert item.state == "changed" and item.notes


def test_a_save_meanwhile_changes_what_was_seen(here: Company, dora: User) -> None:
    variable = GlobalVariable.objects.create(company=here, name="GBL_A", value="1")
    things = of(here)
    before = seen(things)

    variable.change(revision=0, by=dora, value="2")

    assert seen(things) != before


def test_a_process_brings_what_it_needs_and_no_more(there: Company) -> None:
    used, spare = (factories.make_connection(there, name, system="sqlite", path="/a.db") for name in ("Used", "Spare"))
    child = factories.make_process(there, factories.make_plan(used, process="CHILD"))
    factories.make_process(there, factories.make_plan(spare, process="OTHER"))
    script = "this.GBL_A = 1; return true;"
    tasks = (
        Task(name="S", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script=script),
        Task(name="R", type=TaskType.RUN_INTEGRATION, stage=Stage.INTEGRATION_PRE, integration=str(child.public_id)),
    )
    process = factories.make_process(there, factories.make_plan(used, process="PARENT", tasks=tasks))
    with scope(company=there):
        for name in ("GBL_A", "GBL_B"):
            GlobalVariable.objects.create(company=there, name=name)

        files = with_what_it_needs(process)

    assert [file.name for file in files] == ["Used", "GBL_A", "CHILD", "PARENT"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("do", [look, take])
def test_scripts_are_parsed_before_the_database_is_held(
    there: Company, here: Company, do: Callable[..., list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = factories.make_plan(factories.make_connection(there))
    check = Task(
        name="T", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script="return 1 == 1 ;", condition="return 2;"
    )
    factories.make_process(
        there, replace(plan, lines=(replace(plan.lines[0], restriction="return 3;"),), tasks=(check,))
    )
    parsed: dict[str, bool] = {}

    def watched(script: str) -> str:
        parsed[script] = connection.in_atomic_block
        return ""

    monkeypatch.setattr("integrations.exchange.importing.first_complaint", watched)
    monkeypatch.setattr("integrations.forms.surroundings.first_complaint", watched)
    things = of(there)
    do(things, by(here))

    assert parsed == dict.fromkeys(["return 1 == 1 ;", "return 2;", "return 3;"], False)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_script_stands_in_the_file_as_it_was_typed(there: Company, end: str) -> None:
    script = '// Nur aktive.\nif (this._Status === "Inactive") {\n\treturn false;\n}\nreturn true;\n'
    plan = factories.make_plan(factories.make_connection(there))
    process = factories.make_process(
        there, replace(plan, lines=(replace(plan.lines[0], restriction=script.replace("\n", end)),))
    )

    with scope(company=there):
        text = one(process).text

    assert "".join(f"      {line}\n" for line in script.splitlines()) in text and "\r" not in text
