"""Who may open which address: one row a route, complete by construction. `test_routes` walks it, `test_audit` too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Role, User
from integrations.exchange.bundle import read_upload
from integrations.exchange.importing import seen
from integrations.runs.files import path_of
from tests import factories
from tests.accounts.world import WORD, Furniture, World
from tests.web.defining import CSV, answers_of, shown_answers

Args = Callable[[World, Furniture], list[Any]]
Data = Callable[[World, Furniture, Client], dict[str, Any]]
GET, POST, BOTH = ("GET",), ("POST",), ("GET", "POST")
LEAST = ("nobody", "anyone", *Role.values, "owner")
PEOPLE = ("nobody", *Role.values, "owner")
NEW_PASSWORD = "Another-Horse-8!stable"


@dataclass(frozen=True, kw_only=True)
class Row:
    """`least` may open the route with `methods`. `unaudited` says why a POST needs no entry in the audit log.

    `before`: what must be so first. `named`: the address names something of the company, so elsewhere it is not found. `by`: who can do it for good,
    where that is not the least.
    """

    least: str
    methods: tuple[str, ...] = GET
    args: Args = lambda world, it: []
    data: Data = lambda world, it, client: {}
    before: Callable[[], None] = lambda: None
    unaudited: str = ""
    by: str = ""
    named: bool = True

    def allows(self, person: str) -> bool:
        """Say whether `person` (a role, "owner", "nobody") may open it."""
        if self.least == "nobody":
            return True
        if self.least == "anyone":
            return person != "nobody"
        if self.least == "owner":
            return person == "owner"
        return person in Role.values and Role(person).includes(Role(self.least))


def nowhere(world: World, it: Furniture) -> list[Any]:
    return []


def process(world: World, it: Furniture) -> list[Any]:
    return [it.process.public_id]


def changes_only(world: World, it: Furniture) -> list[Any]:
    return [it.busy.public_id]


def line(world: World, it: Furniture) -> list[Any]:
    return [it.process.public_id, 1]


def field(world: World, it: Furniture) -> list[Any]:
    return [it.process.public_id, 1, "mapping", 1]


def trashed(world: World, it: Furniture) -> list[Any]:
    return [it.trashed.public_id]


def connection(world: World, it: Furniture) -> list[Any]:
    return [it.connection.public_id]


def variable(world: World, it: Furniture) -> list[Any]:
    return [it.variable.public_id]


def table(world: World, it: Furniture) -> list[Any]:
    return [it.table.public_id]


def sequence(world: World, it: Furniture) -> list[Any]:
    return [it.sequence.public_id]


def run(world: World, it: Furniture) -> list[Any]:
    return [it.run.number]


def queued(world: World, it: Furniture) -> list[Any]:
    return [it.queued.number]


def member(world: World, it: Furniture) -> list[Any]:
    return [it.member.pk]


def revision(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"revision": it.process.revision}


def tab(name: str, *, on_line: int | None = None, **changes: Any) -> Data:
    """A tab of the editor as it stands on the screen, with some answers changed."""

    def answers(world: World, it: Furniture, client: Client) -> dict[str, Any]:
        return shown_answers(client, it.process, name, line=on_line) | changes

    return answers


def lookup(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    where = {"connection": str(it.connection.public_id), "table": "customers", "result": "name"}
    return revision(world, it, client) | where | {"none": "fail", "many": "first"}


def sample(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return shown_answers(client, it.process, "source") | {"file": SimpleUploadedFile("next.csv", CSV)}


def settings(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"name": "Renamed", "system": "sqlite", "path": it.connection.settings["path"], "revision": 0}


def new_task(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return shown_answers(client, it.process, "task", line=1) | {"name": "NEW", "was": ""}


def variable_answers(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"name": "GBL_NEW", "value": "told anew", "revision": 0}


def prompted(world: World, it: Furniture) -> list[Any]:
    return [it.process.public_id, it.variable.name]


def prompt_answers(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    shown = client.get(reverse("process-prompt", args=prompted(world, it))).context
    return answers_of([shown["form"]]) | {"asked": "on", "label": "Which region"}


def table_answers(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    shown = client.get(reverse("translation-table", args=table(world, it))).context
    return answers_of([shown["form"], shown["grid"]]) | {"rows-0-becomes": "Deutschland"}


def sequence_answers(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"name": "Invoices", "width": 6, "step": 1, "next_number": 40, "revision": 0}


def new_table(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    shown = client.get(reverse("translation-table-new")).context
    return answers_of([shown["form"], shown["grid"]]) | {"name": "Currencies", "pasted": "€\tEUR"}


def workbook(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("next.xlsx", path_of(it.workbook).read_bytes())}


def looked_at(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"kept": str(it.workbook.public_id), "revision": it.table.revision}


def exported(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("next.yaml", path_of(it.export).read_bytes())}


def looked_into(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    with scope(company=it.company), path_of(it.export).open("rb") as file:
        return {"kept": str(it.export.public_id), "seen": seen(read_upload(file, it.export.name)), "take": "0"}


def person(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"name": "Nia", "email": "nia@install.test", "password": NEW_PASSWORD, "time_zone": "Europe/Berlin"}


def as_on_the_first_visit() -> None:
    """Only a new installation has no Owner."""
    User.objects.update(is_owner=False)


def new_password(world: World, it: Furniture, client: Client) -> dict[str, Any]:
    return {"oldpassword": factories.PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}


LOOKED_AT = "It answers with a page and changes nothing."

TABLE: dict[str, Row] = {
    # Sign-in
    "account_login": Row(
        least="nobody",
        methods=BOTH,
        data=lambda world, it, client: {"login": f"vera@{WORD}.test", "password": factories.PASSWORD},
    ),
    "account_logout": Row(least="anyone", methods=BOTH),
    "account_change_password": Row(least="anyone", methods=BOTH, data=new_password),
    "account_set_password": Row(
        least="anyone", methods=BOTH, unaudited="Leads whoever has a password to the page that changes it."
    ),
    "account_reset_password": Row(
        least="nobody",
        methods=BOTH,
        data=lambda world, it, client: {"email": f"vera@{WORD}.test"},
        unaudited="Mails a link; the password changes, and is noted, when the link is used (test_password).",
    ),
    "account_reset_password_done": Row(least="nobody"),
    "account_reset_password_from_key": Row(
        least="nobody",
        methods=BOTH,
        args=lambda world, it: ["1", "no-such-key"],
        unaudited="Without a key from a mail it only says so; with one it is noted (test_password).",
    ),
    "account_reset_password_from_key_done": Row(least="nobody"),
    "account_inactive": Row(least="nobody"),
    "account_reauthenticate": Row(
        least="anyone",
        methods=BOTH,
        data=lambda world, it, client: {"password": factories.PASSWORD},
        unaudited="Proves who is there and changes nothing.",
    ),
    "welcome": Row(
        least="nobody",
        methods=BOTH,
        args=lambda world, it: [world.owner_token],
        data=person,
        before=as_on_the_first_visit,
        named=False,
    ),
    "invitation-accept": Row(
        least="nobody",
        methods=BOTH,
        args=lambda world, it: [it.invitation_link.rstrip("/").rsplit("/", 1)[-1]],
        data=person,
        named=False,
    ),
    # People and companies
    "no-company": Row(least="anyone"),
    "profile": Row(
        least="anyone", methods=BOTH, data=lambda w, it, c: {"name": "Me", "time_zone": "", "theme": "dark"}
    ),
    "company-switch": Row(
        least="anyone",
        methods=POST,
        data=lambda world, it, client: {"company": str(it.company.public_id)},
        by="viewer",
        unaudited="Changes what this browser looks at, nothing else.",
    ),
    "companies": Row(
        least="owner", methods=BOTH, data=lambda world, it, client: {"name": "New Ltd", "time_zone": "Asia/Tokyo"}
    ),
    "company": Row(
        least="owner",
        methods=BOTH,
        args=lambda world, it: [it.company.public_id],
        data=lambda world, it, client: {"name": f"Renamed {WORD}", "time_zone": "Asia/Tokyo"},
    ),
    "users": Row(least="administrator"),
    "invitation-new": Row(
        least="administrator",
        methods=POST,
        data=lambda world, it, client: {"email": "nia@install.test", "role": "designer"},
    ),
    "invitation-revoke": Row(least="administrator", methods=POST, args=lambda world, it: [it.invitation.pk]),
    "user-role": Row(
        least="administrator", methods=POST, args=member, data=lambda world, it, client: {"role": "operator"}
    ),
    "user-remove": Row(least="administrator", methods=POST, args=member),
    "audit-log": Row(least="administrator"),
    # Run
    "home": Row(least="anyone", methods=BOTH, unaudited="Leads to the list of runs."),
    "run-panel": Row(least="operator"),
    "run-panel-process": Row(least="operator", args=process),
    "run-start": Row(least="operator", methods=POST, args=process, data=lambda world, it, client: {"name": "Now"}),
    "run-progress": Row(least="operator", args=run),
    "runs": Row(least="viewer"),
    "runs-columns": Row(least="viewer", methods=POST, unaudited="What one person sees of a list, nothing else."),
    "runs-view-save": Row(
        least="viewer",
        methods=POST,
        data=lambda world, it, client: {"name": "Mine"},
        unaudited="What one person sees of a list, nothing else.",
    ),
    "runs-view-change": Row(
        least="viewer",
        methods=POST,
        data=lambda world, it, client: {"view": str(it.view.public_id), "do": "delete"},
        unaudited="What one person sees of a list, nothing else.",
    ),
    "run-summary": Row(least="viewer", args=run),
    "run-details": Row(least="viewer", args=run),
    "run-errors": Row(least="viewer", args=run),
    "run-errors-export": Row(least="viewer", args=run),
    "run-source-file": Row(least="viewer", args=run),
    "run-source-download": Row(least="viewer", args=run),
    "run-output-download": Row(least="viewer", args=lambda world, it: [it.run.number, 1]),
    "run-cancel": Row(least="operator", methods=POST, args=queued),
    "run-rerun": Row(least="operator", methods=POST, args=run),
    # Processes
    "processes": Row(least="viewer"),
    "definitions-export": Row(least="viewer"),
    "definitions-import": Row(least="designer"),
    "definitions-look": Row(least="designer", methods=POST, data=exported),
    "definitions-take": Row(least="designer", methods=POST, data=looked_into),
    "process-new": Row(
        least="designer",
        methods=BOTH,
        data=lambda world, it, client: {
            "name": "NEW",
            "kind": "delimited",
            "destination": f"sql@{it.connection.public_id}",
        },
    ),
    "process": Row(least="viewer", args=process),
    "process-details-save": Row(
        least="designer", methods=POST, args=process, data=tab("details", description="Told anew")
    ),
    "process-options": Row(least="viewer", args=process),
    "process-options-save": Row(least="designer", methods=POST, args=process, data=tab("options", separator="+")),
    "process-runners-save": Row(
        least="designer",
        methods=POST,
        args=process,
        data=lambda world, it, client: {"people": [world.people["operator"].pk] if it is world.ours else []},
    ),
    "process-versions": Row(least="viewer", args=process),
    "process-version-restore": Row(least="designer", methods=POST, args=line, data=revision),
    "process-save": Row(least="designer", methods=POST, args=process, data=revision),
    "process-discard": Row(least="designer", methods=POST, args=process, data=revision),
    "process-version": Row(least="viewer", args=line),
    "process-compare": Row(least="viewer", args=process),
    "process-export": Row(least="viewer", args=process),
    "process-copy": Row(least="designer", methods=POST, args=process),
    "process-trash": Row(least="designer", methods=POST, args=process, data=revision),
    "process-restore": Row(least="designer", methods=POST, args=trashed),
    "process-preview": Row(least="viewer", args=process),
    "process-source": Row(least="viewer", args=process),
    "process-source-save": Row(
        least="designer", methods=POST, args=process, data=tab("source", **{"columns-1-key": "on"})
    ),
    "process-sample": Row(least="designer", methods=POST, args=process, data=sample),
    "process-watermark-set": Row(
        least="designer", methods=POST, args=changes_only, data=lambda world, it, client: {"value": f"2027{WORD}"}
    ),
    "process-watermark-reset": Row(least="designer", methods=POST, args=changes_only),
    "process-read-columns": Row(least="designer", methods=POST, args=process, data=tab("source")),
    "process-target": Row(least="viewer", args=process),
    "process-target-save": Row(
        least="designer", methods=POST, args=process, data=tab("target", **{"lines-0-mode": "insert"})
    ),
    "process-integration": Row(least="viewer", args=process),
    "process-grouping": Row(least="viewer", args=line),
    "process-grouping-save": Row(
        least="designer", methods=POST, args=line, data=tab("grouping", on_line=1, grouped="no")
    ),
    "process-mapping": Row(least="viewer", args=line),
    "process-mapping-save": Row(
        least="designer", methods=POST, args=line, data=tab("mapping", on_line=1, **{"fields-0-column": "Name"})
    ),
    "process-mapping-sample": Row(
        least="designer", methods=POST, args=line, data=tab("mapping", on_line=1), unaudited=LOOKED_AT
    ),
    "process-restriction": Row(least="viewer", args=line),
    "process-restriction-save": Row(
        least="designer", methods=POST, args=line, data=tab("restriction", on_line=1, script="return true;")
    ),
    "process-restriction-test": Row(
        least="designer", methods=POST, args=line, data=tab("restriction", on_line=1), unaudited=LOOKED_AT
    ),
    "process-additional": Row(least="viewer", args=line),
    "process-additional-save": Row(
        least="designer", methods=POST, args=line, data=tab("additional", on_line=1, **{"fields-0-constant": "North"})
    ),
    "process-additional-sample": Row(
        least="designer", methods=POST, args=line, data=tab("additional", on_line=1), unaudited=LOOKED_AT
    ),
    "process-lookup": Row(least="viewer", args=field),
    "process-lookup-save": Row(least="designer", methods=POST, args=field, data=lookup),
    "process-lookup-look": Row(least="designer", methods=POST, args=field, data=lookup, unaudited=LOOKED_AT),
    "process-script-check": Row(
        least="designer",
        methods=POST,
        args=process,
        data=lambda world, it, client: {"script": "return true;"},
        unaudited=LOOKED_AT,
    ),
    "process-tasks": Row(least="viewer", args=process),
    "process-tasks-arrange": Row(
        least="designer",
        methods=POST,
        args=process,
        data=lambda world, it, client: revision(world, it, client) | {"do": "switch-1"},
    ),
    "process-task-new": Row(least="designer", args=process),
    "process-task-add": Row(least="designer", methods=POST, args=process, data=new_task),
    "process-task-test": Row(
        least="designer", methods=POST, args=process, data=tab("task", on_line=1), unaudited=LOOKED_AT
    ),
    "process-task": Row(least="viewer", args=line),
    "process-task-save": Row(least="designer", methods=POST, args=line, data=tab("task", on_line=1, value="elsewhere")),
    "process-variables": Row(least="viewer", args=process),
    "process-variables-save": Row(
        least="designer", methods=POST, args=process, data=tab("variables", **{"variables-0-keep": "always"})
    ),
    "process-prompt": Row(least="viewer", args=prompted),
    "process-prompt-save": Row(least="designer", methods=POST, args=prompted, data=prompt_answers),
    # Connections
    "connections": Row(least="viewer"),
    "connection-new": Row(least="designer", methods=BOTH, args=lambda world, it: ["sql"], data=settings, named=False),
    "connection-new-test": Row(
        least="designer", methods=POST, args=lambda world, it: ["sql"], data=settings, named=False
    ),
    "connection": Row(least="viewer", args=connection),
    "connection-save": Row(least="designer", methods=POST, args=connection, data=settings),
    "connection-test": Row(least="designer", methods=POST, args=connection, data=settings),
    "connection-offer": Row(
        least="designer", methods=POST, args=lambda world, it: [it.connection.public_id, "delivery_marker"]
    ),
    "connection-delete": Row(least="designer", methods=POST, args=lambda world, it: [it.spare_connection.public_id]),
    # Global Variables
    "global-variables": Row(least="viewer"),
    "global-variable-new": Row(least="designer", methods=BOTH, data=variable_answers),
    "global-variable": Row(least="viewer", args=variable),
    "global-variable-save": Row(least="designer", methods=POST, args=variable, data=variable_answers),
    "global-variable-delete": Row(least="designer", methods=POST, args=lambda world, it: [it.spare_variable.public_id]),
    # Rolling Numbers
    "rolling-numbers": Row(least="viewer"),
    "rolling-number-new": Row(least="designer", methods=BOTH, data=sequence_answers),
    "rolling-number": Row(least="viewer", args=sequence),
    "rolling-number-save": Row(least="designer", methods=POST, args=sequence, data=sequence_answers),
    "rolling-number-delete": Row(least="designer", methods=POST, args=lambda world, it: [it.spare_sequence.public_id]),
    # Translation Tables
    "translation-tables": Row(least="viewer"),
    "translation-table-new": Row(least="designer", methods=BOTH, data=new_table),
    "translation-table": Row(least="viewer", args=table),
    "translation-table-save": Row(least="designer", methods=POST, args=table, data=table_answers),
    "translation-table-delete": Row(least="designer", methods=POST, args=lambda world, it: [it.spare_table.public_id]),
    "translation-table-export": Row(least="viewer", args=table),
    "translation-table-read": Row(least="designer", methods=POST, args=table, data=workbook),
    "translation-table-take": Row(least="designer", methods=POST, args=table, data=looked_at),
    # The installation
    "health": Row(least="nobody"),
    "metrics": Row(least="nobody"),
}
