"""The Audit Log in words: what an entry says was done, and what changed."""

from dataclasses import dataclass
from typing import Any

from accounts.models import AuditEntry, Role

ACTIONS = {
    "access.denied": "Access denied",
    "company.changed": "Company changed",
    "company.created": "Company made",
    "connection.created": "Connection made",
    "connection.deleted": "Connection deleted",
    "connection.imported": "Connection imported",
    "connection.offer_taken": "Connection prepared for exact delivery",
    "connection.saved": "Connection saved",
    "connection.tested": "Connection tested",
    "definitions.imported": "Export imported",
    "definitions.read": "Export read for an import",
    "installation.keys_accepted": "Keys of the installation accepted",
    "installation.keys_rotated": "Keys of the installation rotated",
    "invitation.accepted": "Invitation accepted",
    "invitation.made": "Invitation made",
    "invitation.revoked": "Invitation revoked",
    "process.created": "Process made",
    "process.details_saved": "Process details saved",
    "process.draft_replaced": "Process draft taken from a version",
    "process.imported": "Process imported",
    "process.restored": "Process restored from the trash",
    "process.runners_saved": "People who may run a process saved",
    "process.saved": "Process draft saved",
    "process.trashed": "Process put in the trash",
    "process.version_saved": "Process version saved",
    "process.watermark_reset": "Watermark of a process reset",
    "process.watermark_set": "Watermark of a process set",
    "rolling_number.created": "Rolling number made",
    "rolling_number.deleted": "Rolling number deleted",
    "rolling_number.imported": "Rolling number imported",
    "rolling_number.saved": "Rolling number saved",
    "run.cancelled": "Run cancelled",
    "run.deleted": "Runs deleted",
    "run.requested": "Run requested",
    "user.changed": "User profile changed",
    "user.created": "User made",
    "user.password_changed": "User password changed",
    "user.removed": "User removed from the company",
    "user.role_changed": "User role changed",
    "user.sign_in_failed": "User sign-in failed",
    "user.signed_in": "User signed in",
    "user.signed_out": "User signed out",
    "translation_table.created": "Translation table made",
    "translation_table.deleted": "Translation table deleted",
    "translation_table.imported": "Translation table imported",
    "translation_table.read": "Workbook read for a translation table",
    "translation_table.saved": "Translation table saved",
    "variable.created": "Global variable made",
    "variable.deleted": "Global variable deleted",
    "variable.imported": "Global variable imported",
    "variable.saved": "Global variable saved",
}
NAMES = {
    "changes": "",
    "companies_closed": "Companies closed",
    "demo": "With demo data",
    "is_active": "Active",
    "needs": "Needed role",
    "offer": "Created",
    "ok": "Went well",
    "owner": "Owner of the installation",
    "sslmode": "Encryption",
}
VALUES = {"rerun": "re-run", "delivery_marker": "delivery marker table", **{role.value: role.label for role in Role}}
EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Change:
    """One thing that changed. `name` is empty where `after` is a sentence of its own."""

    name: str
    before: str
    after: str


def action_in_words(action: str) -> str:
    """Say what was done, also of an action that this version does not know."""
    return ACTIONS.get(action) or action.replace(".", " ").replace("_", " ").capitalize()


def actions_called(words: str) -> list[str]:
    """Name the actions whose words hold `words`."""
    return [action for action, told in ACTIONS.items() if words.lower() in told.lower()]


def changes_in_words(entry: AuditEntry) -> list[Change]:
    """Say what changed, a line for each thing; what was and stayed empty is left out.

    In the order of their names: databases keep the keys of an object in orders of their own.
    """
    changes = []
    named = [(NAMES.get(key, key.replace("_", " ").capitalize()), key, *both) for key, *both in entry.changes]
    for name, key, before, after in sorted(named, key=lambda item: item[0]):
        if key == "changes" and isinstance(after, list):
            changes += [Change("", "", _text(sentence)) for sentence in after]
        elif before not in EMPTY or after not in EMPTY:
            changes.append(Change(name, _text(before), _text(after)))
    return changes


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items() if item not in EMPTY)
    return "" if value is None else VALUES.get(str(value), str(value))
