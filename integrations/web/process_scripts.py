"""What the code box asks while a script is written: what is wrong with it as it stands."""

from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from accounts.http import Request
from accounts.models import Role
from accounts.policy import requires
from integrations.engine.plan import Stage
from integrations.forms.mapping import as_written
from integrations.forms.scripts import complaints_about
from integrations.models import GlobalVariable
from integrations.scripting.check import Severity, mended
from integrations.web.editor import found


@require_POST
@requires(Role.DESIGNER)
def check(request: Request, public_id: UUID) -> HttpResponse:
    """Say what is wrong with `script`, at which line, and how it reads with plain quotes where those would help.

    `stage` is that of the task that the script belongs to. Runs nothing, writes nothing.
    """
    process = found(public_id)
    script, stage = as_written(request.POST.get("script", "")), request.POST.get("stage", "")
    complaints = complaints_about(
        script,
        columns=[column.name for column in process.drafted.all_columns],
        variables=set(GlobalVariable.objects.values_list("name", flat=True)),
        stage=Stage(stage) if stage in list(Stage) else None,
    )
    plain = mended(script)
    helps = plain != script and any(item.severity is Severity.ERROR for item in complaints)
    told = [{"line": item.line, "sentence": item.sentence, "severity": item.severity} for item in complaints]
    return JsonResponse({"complaints": told, "plain": plain if helps else ""})
