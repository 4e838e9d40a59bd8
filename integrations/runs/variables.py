"""The variables of one run: where their values come from, and where those go that are kept.

Life of a value: company → process → kept by an earlier run → parent → given when the run was asked for → scripts.
Two runs never see each other's: each works on the copy in its own row.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from accounts.models import Company
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import ColumnType, FieldMap, Keep, Plan
from integrations.engine.secure import Vault, is_handle
from integrations.engine.variables import IN_TEXT, Variables, mentioned, text_of
from integrations.models import GlobalVariable, Process, Run, RunStatus
from integrations.models.vault import vault_of
from integrations.runs.parameters import Unfit, at_start, defaults, fitting


def local_start(company: Company, moment: datetime) -> datetime:
    """Give a moment as the company's clocks show it, to the second: what a date is calculated from."""
    return moment.astimezone(ZoneInfo(company.time_zone)).replace(tzinfo=None, microsecond=0)


def values_of(process: Process, plan: Plan, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Resolve what a run of `plan` starts with, secure values as handles. Names that the company does not have are
    left out. Without `given`, what is asked for has its defaults, as seen from today."""
    if given is None:
        given = at_start(defaults(plan), local_start(process.company, timezone.now()).date())
    values: dict[str, Any] = dict(GlobalVariable.objects.values_list("name", "value"))
    own = {item.name: item.value for item in plan.variables if item.value is not None}
    kept = {item.name for item in plan.variables if item.keep is not Keep.NEVER}
    layers = (own, {name: value for name, value in process.kept_values.items() if name in kept}, given)
    for layer in layers:
        values.update({name: value for name, value in layer.items() if name in values})
    vault = vault_of(process.company)
    for name in secure_names(plan) & values.keys():
        # A parent may know as plain what is secure here.
        if not is_handle(values[name]):
            values[name] = vault.sealed(name, text_of(vault.opened(values[name])))
    return values


def given_at_start(plan: Plan, given: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Give what a run was asked for with, looked at again and its periods with dates. Raises `DefinitionError`."""
    try:
        return at_start(fitting(plan, given), today)
    except Unfit as unfit:
        raise DefinitionError(
            f"{unfit.sentence} It is asked for as {unfit.name}. Run again with changes.", code="run.parameter"
        ) from unfit


def secure_names(plan: Plan) -> frozenset[str]:
    """Give the variables whose values are secure in a run of `plan`: the company says so, or the process."""
    company = GlobalVariable.objects.filter(is_secure=True).values_list("name", flat=True)
    return frozenset(company) | {item.name for item in plan.variables if item.secure}


def see_that_they_open(plan: Plan, values: Mapping[str, Any], vault: Vault) -> None:
    """Open the secure values that `plan` names: one that cannot be opened ends a run before anything is read, and what
    they are is kept out of everything the run writes about itself."""
    for name in sorted(mentioned(text for _, text in places(plan))):
        vault.opened(values.get(name))


def check_names(plan: Plan, known: Iterable[str]) -> None:
    """Raise `DefinitionError` for a script or field that names a variable which does not exist."""
    names = frozenset(known)
    for place, text in places(plan):
        for name in sorted(mentioned([text]) - names):
            raise DefinitionError(
                f"{place} uses {name}, and there is no such global variable. Create it under Global Variables, or "
                "correct the name.",
                code="definition.variable",
            )


def places(plan: Plan) -> list[tuple[str, str]]:
    """Give every text of `plan` that may name a variable, with the words for where it stands."""
    found = [(f"The {option} of the source", " ".join(names)) for option, names in plan.source.named.items()]
    found += [_place(item) for item in plan.additional]
    for line in plan.lines:
        found.append((f"The target of line {line.name}", " ".join(IN_TEXT.findall(line.target))))
        found.append((f"The restriction of line {line.name}", line.restriction))
        found += [_place(item) for item in line.fields]
    for task in plan.active_tasks:
        found.append((f"The condition of task {task.name}", task.condition))
        found.append((f"Task {task.name}", " ".join((task.script, task.variable, *task.texts, *task.looks_with))))
    found += [(f"The list of {item.name}", " ".join(item.asks_with)) for item in plan.variables]
    return [(place, text) for place, text in found if text.strip()]


def _place(item: FieldMap) -> tuple[str, str]:
    if item.column_type is ColumnType.CALCULATION:
        return f"The calculation of {item.target}", item.value
    kind = "lookup" if item.column_type is ColumnType.LOOKUP else "mapping"
    return f"The {kind} of {item.target}", " ".join(item.variables)


def keep(run: Run, plan: Plan, variables: Variables, status: str) -> dict[str, Any]:
    """Give what this end of a run leaves to the runs after it, as `Process.kept_values` holds it."""
    values = variables.snapshot()
    well = status == RunStatus.COMPLETED
    return {
        item.name: values[item.name]
        for item in plan.variables
        if item.name in values and (item.keep is Keep.ALWAYS or (item.keep is Keep.ON_SUCCESS and well))
    }
