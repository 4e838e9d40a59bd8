"""What a designer may say of a task."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from integrations.engine.errors import DefinitionError
from integrations.engine.plan import Column, ParentData, Plan, Stage, Task, TaskType, Then
from integrations.forms.mapping import Check, ScriptForm
from integrations.forms.plain import Tall
from integrations.forms.problems import Neighbour, unfit, way_back
from integrations.forms.process import choice
from integrations.forms.stages import PARENT_DATA, STAGES, THEN, TYPES

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


class TaskForm(ScriptForm):
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
        widget=Tall(1, placeholder="None, always runs", **{**CODE, "class": "mono"}),
        help_text="A script: return false skips the task. Empty: it always runs.",
    )
    on_success = forms.ChoiceField(label="On Success", choices=[(word.value, THEN[word]) for word in Then])
    on_failure = forms.ChoiceField(label="On Failure", choices=[(word.value, THEN[word]) for word in Then])
    script = forms.CharField(
        required=False, max_length=100_000, strip=False, label="JavaScript Code", widget=Tall(12, **CODE)
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

    def __init__(
        self,
        *args: Any,
        plan: Plan,
        task: Task | None,
        variables: Collection[str],
        offers: Sequence[Offered],
        check: Check,
        **kwargs: Any,
    ) -> None:
        self.plan, self.check, self.offers = plan, check, offers
        kwargs["initial"] = _answers(task) | kwargs.pop("initial", {})
        super().__init__(*args, **kwargs)
        named = task.variable if task else ""
        gone = [(named, f"{named} (no such variable)")] if named and named not in variables else []
        choice(self, "variable").choices = [("", "Choose a variable"), *((n, n) for n in sorted(variables)), *gone]
        self._offer_integrations(task.integration if task else "")

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
        if given.get("type") == TaskType.RUN_INTEGRATION:
            chosen = next((offer for offer in self.offers if offer.key == given.get("integration")), None)
            if chosen and (refused := chosen.refused or (chosen.refused_data if with_data else "")):
                self.add_error("integration", f"{chosen.name} {refused}. Choose another integration.")
        return given

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
        return Task(**{**vars(task), **own})


def _answers(task: Task | None) -> dict[str, Any]:
    """A task as the form shows it; a new one has the defaults of spec 10."""
    task = task or Task(name="", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE)
    return {**{name: getattr(value, "value", value) for name, value in vars(task).items()}, "was": task.name}


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
    """Carry out “up-2”, “down-2”, “switch-2”, “copy-2” or “delete-2” (from 1); any other word leaves them.

    Up and down stay within the stage.
    """
    done = list(tasks)
    word, _, number = action.partition("-")
    at = int(number) - 1 if number.isdecimal() and len(number) < 9 else -1
    if not 0 <= at < len(done):
        return tuple(done)
    task = done[at]
    match word:
        case "up" | "down":
            other = at - 1 if word == "up" else at + 1
            if 0 <= other < len(done) and done[other].stage is task.stage:
                done[at], done[other] = done[other], done[at]
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
