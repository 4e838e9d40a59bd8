"""What a designer may say of a task."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from integrations.connectors.http_call import statuses
from integrations.connectors.http_headers import complaint_about
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import (
    VALIDATES_AT,
    Column,
    Expects,
    FileAction,
    Header,
    Lookup,
    ParentData,
    Plan,
    Stage,
    Task,
    TaskType,
    Then,
)
from integrations.forms.judging import Neighbour
from integrations.forms.lookup import MatchesForm, matches_as_answers
from integrations.forms.mapping import Check, ScriptForm
from integrations.forms.plain import Code, Tall
from integrations.forms.process import choice, places_in
from integrations.forms.stages import ACTIONS, EXPECTS, PARENT_DATA, STAGES, THEN, TYPES
from integrations.forms.task_problems import unfit, way_back

NAMES = "[GBL_NAME] stands for a variable, [run.number] for a fact of the run, [_Column] for a column of the document."
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")
DATABASE_OR_SERVICE = {
    TaskType.RUN_SQL: "database",
    TaskType.VALIDATION: "database",
    TaskType.CALL_HTTP: "service",
    TaskType.FILE: "folder",
}
BY_QUERY, BY_LOOKUP = "query", "lookup"
HEADERS = 4
"""Rows in which a header can be said."""
CODE = {"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A process that a task may run. `refused` says why it cannot, or "": at all, or only with data from the parent."""

    key: str
    name: str
    refused: str = ""
    refused_data: str = ""


def offered(own: str, columns: Sequence[Column], neighbours: Mapping[str, Neighbour]) -> list[Offered]:
    """Give every other process, each with the reason why a process with source `columns` cannot run it."""
    found = []
    for key, neighbour in neighbours.items():
        if key == own:
            continue
        way = way_back(key, own, neighbours)
        refused = f"leads back to this process: {', which runs '.join(way)}, which runs this one" if way else ""
        found.append(
            Offered(key=key, name=neighbour.name, refused=refused, refused_data=unfit(neighbour.columns, columns))
        )
    return found


class Integrations(forms.Select):
    """The choice of an integration. One that cannot read the parent's rows says so, for the page to switch it off."""

    reasons: Mapping[str, str]

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if str(value) in self.reasons:
            option["attrs"]["data-unfit"] = ""
        return option


class TaskForm(ScriptForm, MatchesForm):
    """Everything of one task. What belongs to another type is kept out of the way and not stored."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    was = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)
    name = forms.CharField(max_length=120, label="Name", widget=forms.TextInput(attrs={"class": "mono"}))
    type = forms.ChoiceField(label="Type", choices=[(word.value, TYPES[word]) for word in TaskType])
    stage = forms.ChoiceField(label="Stage", choices=[(word.value, STAGES[word].label) for word in Stage])
    enabled = forms.BooleanField(required=False, label="Enabled", widget=forms.CheckboxInput(attrs={"role": "switch"}))
    condition = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="Condition",
        widget=Code(1, placeholder="None, always runs"),
        help_text="A script: return false skips the task. Empty: it always runs. Esc, then Tab leaves it.",
    )
    on_success = forms.ChoiceField(label="On Success", choices=[(word.value, THEN[word]) for word in Then])
    on_failure = forms.ChoiceField(label="On Failure", choices=[(word.value, THEN[word]) for word in Then])
    script = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="JavaScript Code",
        widget=Code(12, **{"aria-describedby": "code-hint"}),
    )
    variable = forms.ChoiceField(required=False, label="Variable")
    value = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="Value",
        widget=Tall(2, spellcheck="false", **{"class": "mono"}),
        help_text="[GBL_NAME] stands for the value of another variable. Empty empties it.",
    )
    integration = forms.ChoiceField(required=False, label="Integration to Run", widget=Integrations)
    parent_data = forms.ChoiceField(
        required=False,
        label="Use data from parent",
        choices=[(word.value, PARENT_DATA[word]) for word in ParentData],
        help_text="Which rows it reads instead of its own source. All documents are also those that were never sent; "
        "Succeeded ones are at the destination. At a document's stage they are that document's.",
    )
    use_variables = forms.BooleanField(
        required=False,
        label="Use Parent Variables",
        help_text="It begins with the values that this run's variables have by then.",
    )
    hand_back = forms.BooleanField(
        required=False, label="Hand variables back", help_text="What it leaves in them is what this run goes on with."
    )

    to = forms.CharField(
        required=False,
        max_length=2_000,
        label="To",
        help_text="Addresses with commas between them; [GBL_NAME] stands for a variable.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    cc = forms.CharField(
        required=False,
        max_length=2_000,
        label="Cc",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    subject = forms.CharField(required=False, max_length=250, label="Subject")
    text = forms.CharField(
        required=False, max_length=100_000, strip=False, label="Text", widget=Tall(6), help_text=NAMES
    )
    attach_failed = forms.BooleanField(
        required=False,
        label="Attach the failed documents",
        help_text="As an Excel workbook with the reason beside every row. None failed: nothing is attached.",
    )

    database = forms.ChoiceField(required=False, label="Database")
    answer = forms.ChoiceField(
        required=False,
        label="Keep the answer in",
        help_text="This variable takes what is answered; it is emptied where nothing is.",
    )
    statement = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="SQL",
        widget=Tall(6, **{**CODE, "class": "mono"}),
        help_text=f"One statement, done wholly or not at all; a validation only reads. {NAMES} "
        "They are bound: no quotes around them.",
    )
    by = forms.ChoiceField(
        required=False,
        label="Validates by",
        choices=[(BY_QUERY, "A query"), (BY_LOOKUP, "A lookup of each row")],
        help_text="A lookup at the validation stage asks about every row of the source, at a document about its rows.",
    )
    lookup_connection = forms.ChoiceField(required=False, label="Look up at")
    lookup_table = forms.CharField(
        required=False,
        max_length=200,
        label="Look up in",
        help_text="A table or view, or the path of a web service such as customers/{code}. Test says whether it and its fields are there.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "autocomplete": "off"}),
    )
    lookup_result = forms.CharField(
        required=False,
        max_length=200,
        label="Where its rows stand in the answer",
        help_text="For a web service alone, such as items. Empty: the answer itself.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false", "autocomplete": "off"}),
    )
    expects = forms.ChoiceField(
        required=False,
        label="Valid when",
        choices=[(word.value, EXPECTS[word]) for word in Expects],
    )

    action = forms.ChoiceField(
        required=False, label="What to do", choices=[(word.value, ACTIONS[word]) for word in FileAction]
    )
    own_file = forms.BooleanField(
        required=False,
        label="The file that this run has read",
        help_text="Where it came from a folder, and nothing else took its place since. Otherwise nothing is done.",
    )
    folder = forms.ChoiceField(required=False, label="Folder")
    file_name = forms.CharField(
        required=False,
        max_length=200,
        label="Files",
        help_text="A name or a pattern such as orders_*.csv; no match is a failed task. Values of [GBL_NAME] are taken "
        "as they are.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    to_folder = forms.ChoiceField(required=False, label="To folder")
    new_name = forms.CharField(
        required=False,
        max_length=200,
        label="New name",
        help_text="[FILE] and [EXT] are the name and its ending, [DATE], [TIME] or [YYYYMMDD] the start of the run. "
        "Empty: the same name; archived files get date and time.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    overwrite = forms.BooleanField(
        required=False, label="Replace a file of that name", help_text="Otherwise that is a failed task."
    )

    service = forms.ChoiceField(required=False, label="Service")
    method = forms.ChoiceField(label="Method", choices=[(word, word) for word in METHODS], required=False)
    path = forms.CharField(
        required=False,
        max_length=2_000,
        label="Path",
        help_text="Below the address of the connection, such as orders/[_OrderNumber]/ship.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    expected = forms.CharField(
        required=False,
        max_length=200,
        label="Expected statuses",
        help_text="Such as 200-299, 404. Empty: every 2xx. Any other one is a failed task.",
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    body = forms.CharField(
        required=False,
        max_length=100_000,
        strip=False,
        label="JSON body",
        widget=Tall(6, **{**CODE, "class": "mono"}),
        help_text=f'{NAMES} They stand between quotes; "[GBL_NAME]" alone keeps a number a number.',
    )

    def __init__(
        self,
        *args: Any,
        plan: Plan,
        task: Task | None,
        variables: Collection[str],
        offers: Sequence[Offered],
        connections: Mapping[str, Sequence[tuple[str, str]]],
        check: Check,
        **kwargs: Any,
    ) -> None:
        self.plan, self.check, self.offers = plan, check, offers
        kwargs["initial"] = _answers(task) | kwargs.pop("initial", {})
        super().__init__(*args, **kwargs)
        named = task.variable if task else ""
        gone = [(named, f"{named} (no such variable)")] if named and named not in variables else []
        known = [*((name, name) for name in sorted(variables)), *gone]
        choice(self, "variable").choices = [("", "Choose a variable"), *known]
        choice(self, "answer").choices = [("", "No variable"), *known]
        for name, connector in (("database", "sql"), ("service", "http"), ("folder", "folder")):
            stored = task.connection if task and DATABASE_OR_SERVICE.get(task.type) == name else ""
            self._offer_connections(name, connections.get(connector, ()), stored)
        self._offer_connections("to_folder", connections.get("folder", ()), task.to_connection if task else "")
        self._offer_integrations(task.integration if task else "")
        self._offer_headers(task.headers if task else ())
        how = (task.lookup if task else None) or Lookup()
        self._offer_connections("lookup_connection", connections.get("searchable", ()), how.connection)
        self.offer_matches(how, [column.name for column in plan.all_columns], sorted(variables))
        self.speak()

    def _offer_headers(self, stored: Sequence[Header]) -> None:
        for at in range(max(HEADERS, len(stored) + 1)):
            for name, label, most in (("header", "Header", 200), ("header-value", "Value of header", 8_000)):
                self.fields[f"{name}-{at}"] = forms.CharField(
                    required=False, max_length=most, label=f"{label} {at + 1}", widget=forms.TextInput(attrs=CODE)
                )

    @property
    def headers(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """The rows in which headers are said: a name and a value each."""
        count = sum(name.startswith("header-value-") for name in self.fields)
        return [(self[f"header-{at}"], self[f"header-value-{at}"]) for at in range(count)]

    def _offer_connections(self, name: str, fitting: Sequence[tuple[str, str]], stored: str) -> None:
        gone = [(stored, "A connection that is not there")] if stored and stored not in dict(fitting) else []
        choice(self, name).choices = [("", "Choose a connection"), *fitting, *gone]

    def _offer_integrations(self, stored: str) -> None:
        fitting = [(offer.key, offer.name) for offer in self.offers if not offer.refused or offer.key == stored]
        if stored and stored not in dict(fitting):
            fitting.append((stored, "An integration that no longer exists"))
        field = choice(self, "integration")
        field.choices = [("", "Choose an integration"), *fitting]
        field.widget.reasons = {offer.key: offer.refused_data for offer in self.offers if offer.refused_data}

    @property
    def not_offered(self) -> list[Offered]:
        """The integrations that are left out, or are with data from the parent, for the page to say why."""
        return [offer for offer in self.offers if offer.refused or offer.refused_data]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self.data.get("was") and any(task.name == name for task in self.plan.tasks):
            raise forms.ValidationError(f"There is already a task named {name}. Choose another name.")
        return name

    def clean_condition(self) -> str:
        return self._script("condition")

    def clean_script(self) -> str:
        return self._script("script")

    def _script(self, name: str) -> str:
        script = self.written(self.cleaned_data[name])
        if complaint := self.complaint(script):
            raise forms.ValidationError(complaint)
        return script

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        with_data = given.get("parent_data", "") not in ("", ParentData.NONE)
        if given.get("type") == TaskType.VALIDATION and given.get("stage") not in VALIDATES_AT:
            there = ", ".join(STAGES[stage].label for stage in Stage if stage in VALIDATES_AT)
            self.add_error("stage", f"A validation stands before anything is sent. Choose one of {there}.")
        if given.get("type") == TaskType.VALIDATION and given.get("by") == BY_LOOKUP:
            self.check_matches(given)
        if given.get("type") == TaskType.CALL_HTTP:
            self._check_headers(given)
        if given.get("type") == TaskType.RUN_INTEGRATION:
            chosen = next((offer for offer in self.offers if offer.key == given.get("integration")), None)
            if chosen and (refused := chosen.refused or (chosen.refused_data if with_data else "")):
                self.add_error("integration", f"{chosen.name} {refused}. Choose another integration.")
        return given

    def _check_headers(self, given: Mapping[str, Any]) -> None:
        sound: list[Header] = []
        for at in range(len(self.headers)):
            header = Header(name=given.get(f"header-{at}", ""), value=given.get(f"header-value-{at}", ""))
            if header.value and not header.name:
                self.add_error(f"header-{at}", f"The value of header {at + 1} has no name. Enter one, or clear it.")
            elif header.name and (said := complaint_about([*sound, header])):
                self.add_error(f"header-{at}", said[:1].upper() + said[1:])
            elif header.name:
                sound.append(header)

    def clean_method(self) -> str:
        return self.cleaned_data["method"] or "POST"

    def clean_expected(self) -> str:
        text: str = self.cleaned_data["expected"]
        try:
            statuses(text)
        except DefinitionError as error:
            raise forms.ValidationError(error.sentence) from error
        return text

    def task_to_try(self) -> Task:
        """The task as far as a trial needs it, whatever else is still missing. Raises `DefinitionError` when nothing
        is there to try."""
        given = {"name": "This task", "integration": "", "on_success": Then.NEXT, "on_failure": Then.QUIT}
        self.cleaned_data = {**given, **self.cleaned_data}
        task = self.task()
        if (task.type, bool(task.script.strip())) == (TaskType.RUN_SCRIPT, False):
            raise DefinitionError("There is no script yet to test.", code="definition.nothing_to_try")
        if (task.type, bool(task.variable)) == (TaskType.SET_VARIABLE, False):
            raise DefinitionError("Choose the variable first.", code="definition.nothing_to_try")
        if task.type is TaskType.RUN_INTEGRATION:
            raise DefinitionError("Another integration is tested on its own.", code="definition.nothing_to_try")
        if task.type is TaskType.SEND_EMAIL and not task.to.strip():
            raise DefinitionError("Enter an address first.", code="definition.nothing_to_try")
        if task.lookup is not None and not task.lookup.asks:
            raise DefinitionError("Say where to look and what to match first.", code="definition.nothing_to_try")
        if task.type is TaskType.VALIDATION and not (task.lookup or (task.connection and task.statement.strip())):
            raise DefinitionError("Choose the database and write the query first.", code="definition.nothing_to_try")
        if task.type in (TaskType.RUN_SQL, TaskType.CALL_HTTP, TaskType.FILE):
            raise DefinitionError("What it changes would be changed for good.", code="definition.nothing_to_try")
        return task

    def task(self) -> Task:
        """The task after validation, with nothing of another type."""
        given = self.cleaned_data
        kind = TaskType(given["type"])
        task = Task(
            name=given["name"],
            type=kind,
            stage=Stage(given["stage"]),
            enabled=given["enabled"],
            condition=given["condition"],
            on_success=Then(given["on_success"]),
            on_failure=Then(given["on_failure"]),
        )
        own: dict[str, Any] = {}
        match kind:
            case TaskType.RUN_SCRIPT:
                own = {"script": given["script"]}
            case TaskType.SET_VARIABLE:
                own = {"variable": given["variable"], "value": given["value"].replace("\r\n", "\n")}
            case TaskType.RUN_INTEGRATION:
                own = {name: given[name] for name in ("integration", "use_variables", "hand_back")}
                own["parent_data"] = ParentData(given["parent_data"] or ParentData.NONE)
            case TaskType.SEND_EMAIL:
                own = {name: given[name] for name in ("to", "cc", "subject", "attach_failed")}
                own["text"] = given["text"].replace("\r\n", "\n")
            case TaskType.RUN_SQL:
                own = {"connection": given["database"], "variable": given["answer"]}
                own["statement"] = given["statement"].replace("\r\n", "\n")
            case TaskType.VALIDATION:
                own = {"connection": given["database"], "expects": Expects(given["expects"] or Expects.ROW)}
                own["statement"] = given["statement"].replace("\r\n", "\n")
                if given["by"] == BY_LOOKUP:
                    own = {"expects": own["expects"], "lookup": self._lookup()}
            case TaskType.CALL_HTTP:
                own = {name: given[name] for name in ("method", "path", "expected")}
                own |= {"connection": given["service"], "variable": given["answer"], "headers": self._headers()}
                own["body"] = given["body"].replace("\r\n", "\n")
            case TaskType.FILE:
                own = _of_files(given)
        return Task(**{**vars(task), **own})

    def _lookup(self) -> Lookup:
        given = self.cleaned_data
        return Lookup(
            connection=given["lookup_connection"],
            table=given["lookup_table"],
            matches=self.given_matches(),
            result=given["lookup_result"],
        )

    def _headers(self) -> tuple[Header, ...]:
        rows = ((self.cleaned_data[name.name], self.cleaned_data[value.name]) for name, value in self.headers)
        return tuple(Header(name=name, value=value) for name, value in rows if name)


def _of_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is a file task's own: nothing that its action, or the run's own file, leaves without a meaning."""
    action = FileAction(given["action"] or FileAction.COPY)
    own: dict[str, Any] = {"action": action, "own_file": given["own_file"]}
    if not given["own_file"]:
        own |= {"connection": given["folder"], "file_name": given["file_name"]}
    if action is not FileAction.DELETE:
        own |= {"to_connection": given["to_folder"], "new_name": given["new_name"], "overwrite": given["overwrite"]}
    return own


def _answers(task: Task | None) -> dict[str, Any]:
    """A task as the form shows it; a new one has the defaults of spec 10."""
    task = task or Task(name="", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE)
    answers = {name: getattr(value, "value", value) for name, value in vars(task).items()}
    place = DATABASE_OR_SERVICE.get(task.type)
    answers["to_folder"] = task.to_connection
    if task.lookup is not None:
        answers |= {"by": BY_LOOKUP, "lookup_connection": task.lookup.connection, "lookup_table": task.lookup.table}
        answers |= matches_as_answers(task.lookup) | {"lookup_result": task.lookup.result}
    for at, header in enumerate(task.headers):
        answers |= {f"header-{at}": header.name, f"header-value-{at}": header.value}
    return {**answers, "was": task.name, "answer": task.variable, **({place: task.connection} if place else {})}


# The list ---------------------------------------------------------------------------------------------------------


def in_order(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Tasks in the order a run comes to them: by stage, and within it as they stand."""
    stages = list(Stage)
    return tuple(sorted(tasks, key=lambda task: stages.index(task.stage)))


def with_task(tasks: Sequence[Task], task: Task, *, was: str) -> tuple[Task, ...]:
    """Put `task` in the place of the one that was named `was`; at the end of its stage when there is none, or when
    it was moved to another stage."""
    at = next((index for index, item in enumerate(tasks) if item.name == was), None) if was else None
    if at is None or tasks[at].stage is not task.stage:
        return in_order([*(item for item in tasks if not was or item.name != was), task])
    return in_order([*tasks[:at], task, *tasks[at + 1 :]])


def arranged(tasks: Sequence[Task], action: str) -> tuple[Task, ...]:
    """Carry out “up-2”, “down-2”, “move-2-5”, “switch-2”, “copy-2” or “delete-2” (from 1); any other word leaves them.

    Up, down and move stay within the stage.
    """
    done = list(tasks)
    word, at, to = places_in(action, len(done))
    if at < 0:
        return tuple(done)
    task = done[at]
    match word:
        case "up" | "down" | "move":
            if to >= 0 and done[to].stage is task.stage:
                done.insert(to, done.pop(at))
        case "switch":
            done[at] = Task(**{**vars(task), "enabled": not task.enabled})
        case "copy":
            done.insert(at + 1, Task(**{**vars(task), "name": _free_name(task.name, {item.name for item in tasks})}))
        case "delete":
            done.pop(at)
    return tuple(done)


def _free_name(name: str, taken: set[str]) -> str:
    numbers = range(1, len(taken) + 2)
    return next(free for n in numbers if (free := f"{name[:110]}_COPY{n if n > 1 else ''}") not in taken)
