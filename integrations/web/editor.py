"""The frame of the process editor: tabs, the notice of the draft, and how a tab is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.forms import BaseFormSet, Form
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.audit import record
from accounts.http import Request
from accounts.models import Role
from integrations.engine.plan import Plan
from integrations.engine.variables import STANDING
from integrations.forms.differences import differences
from integrations.forms.judging import Problem
from integrations.forms.plain import PlainForm
from integrations.forms.problems import problems_of
from integrations.forms.surroundings import surroundings_of
from integrations.models import GlobalVariable, Process
from integrations.scripting.names import token

TABS = (
    ("details", "Details", "process"),
    ("source", "Source", "process-source"),
    ("target", "Target", "process-target"),
    ("integration", "Integration", "process-integration"),
    ("options", "Options", "process-options"),
    ("tasks", "Tasks", "process-tasks"),
    ("variables", "Variables", "process-variables"),
    ("versions", "Versions", "process-versions"),
)


@dataclass(frozen=True)
class Place:
    """A problem and the page where it is put right."""

    sentence: str
    url: str


def frame(request: Request, process: Process, tab: str, **more: Any) -> dict[str, Any]:
    """Give what every page of the editor shows: tabs, version, what the draft changes and what it lacks.

    `saves_tab` among `more` says that the page has a form of its own, which the Save of the process sends along.
    """
    newest = process.newest_version
    draft = process.drafted
    role = Role(request.membership.role)
    is_designer = role.includes(Role.DESIGNER)
    runs = newest is not None and process.is_active and process.trashed_at is None
    problems = problems_of(draft, surroundings_of(process))
    return {
        "process": process,
        "tab": tab,
        "tabs": [(key, label, reverse(name, args=[process.public_id])) for key, label, name in TABS],
        "newest": newest,
        "changes": differences(newest.plan, draft) if newest else [],
        "problems": [Place(problem.sentence, place_of(process, problem)) for problem in problems],
        "may_edit": is_designer and process.trashed_at is None,
        "may_run": runs and role.includes(Role.OPERATOR) and process.may_be_run_by(request.user),
        "may_restore": is_designer and process.trashed_at is not None,
        "draft": draft,
        **more,
    }


def place_of(process: Process, problem: Problem) -> str:
    """Give the address of the page where a problem is put right."""
    if problem.tab == "integration":
        return reverse(f"process-{problem.part}", args=[process.public_id, problem.line])
    if problem.tab == "tasks":
        return reverse("process-task", args=[process.public_id, problem.line])
    if problem.tab == "variables":
        return reverse("process-variables", args=[process.public_id]) + f"#{problem.part}"
    anchor = f"#line-{problem.line}" if problem.line else ""
    return reverse(f"process-{problem.tab}", args=[process.public_id]) + anchor


def code_names(process: Process, facts: Mapping[str, str] = STANDING) -> dict[str, Any]:
    """Give the names that stand beside a code box: (what is inserted, what it says of itself)."""
    columns = process.drafted.all_columns
    variables = GlobalVariable.objects.values_list("name", "description")
    return {
        "columns": [(f"this.{token(column.name)}", column.name) for column in columns],
        "variables": [(f"this.{name}", description or name) for name, description in variables],
        "facts": [(f"this.run.{name}", words) for name, words in facts.items()],
    }


def found(public_id: UUID) -> Process:
    """The process for looking at, in the trash or not."""
    return get_object_or_404(
        Process.objects.select_related("company", "sample", "default_file", "updated_by", "owner"), public_id=public_id
    )


def editable(public_id: UUID) -> Process:
    """The process for changing: one in the trash is restored first."""
    process = found(public_id)
    if process.trashed_at is not None:
        raise Http404
    return process


def write_draft(request: Request, process: Process, plan: Plan, revision: int, **fields: Any) -> bool:
    """Write the draft and say so in the audit log; False when someone else saved meanwhile."""
    before = process.drafted
    if plan == before and not fields:
        return True
    changes = differences(before, plan) + sorted(name.replace("_", " ") for name in fields)
    with transaction.atomic():
        if not process.change(revision=revision, by=request.user, draft=plan.to_json(), **fields):
            return False
        record("process.saved", process.name, after={"changes": changes}, request=request)
    return True


def go_on(request: Request, process: Process, url: str, sentence: str = "Saved to the draft.") -> HttpResponseRedirect:
    """Answer a tab that was saved; the Save of the whole process goes on to make a version."""
    if request.POST.get("then") == "version":
        make_version(request, process)
    else:
        messages.success(request, sentence)
    return redirect(url)


def make_version(request: Request, process: Process) -> None:
    """Make the draft the version that runs use, or say what keeps it from that."""
    if problems := problems_of(process.drafted, surroundings_of(process)):
        count = "1 thing is" if len(problems) == 1 else f"{len(problems)} things are"
        messages.warning(request, f"Saved to the draft. It cannot become a version yet: {count} missing, listed below.")
        return
    newest = process.newest_version
    if newest and not differences(newest.plan, process.drafted):
        messages.info(request, f"Nothing differs from version {newest.number}, so no new version was made.")
        return
    with transaction.atomic():
        version = process.save_version(revision=process.revision, by=request.user)
        if version is None:
            messages.error(request, "Someone else saved in this moment. Look at the draft and save again.")
            return
        record("process.version_saved", process.name, after={"version": version.number}, request=request)
    messages.success(request, f"Version {version.number} is saved. Runs use it from now on.")


def catch_up(form: PlainForm, process: Process) -> None:
    """After another person's save: the form keeps what was typed and builds on the newer state when saved again."""
    process.refresh_from_db()
    form.build_on(process.revision)


def respond(request: Request, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    if not context["may_edit"]:
        for value in context.values():
            _disable(value)
    return render(request, f"processes/{template}.html", context, status=status)


def _disable(value: Any) -> None:
    for form in value.forms if isinstance(value, BaseFormSet) else [value] if isinstance(value, Form) else []:
        for field in form.fields.values():
            field.disabled = True


def who_saved(process: Process) -> str:
    process.refresh_from_db()
    return f"{process.updated_by or 'Someone else'} saved this process"
