"""The run's own copy of the global variables: scripts and tasks read and write it, nobody else sees it."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from integrations.engine.secure import Vault, handles_in, has_handle, is_handle, masked

NAME = re.compile(r"GBL_[A-Z0-9_]+")
IN_TEXT = re.compile(r"\[(GBL_[A-Z0-9_]+(?:\.from|\.to)?)\]")
"""A variable, or the first or last day of one that is a range."""
IN_BRACKETS = re.compile(r"\[(GBL_[A-Z0-9_]+(?:\.from|\.to)?|run\.[A-Za-z]+|_\w+)\]")
"""A variable, the first or last day of one that is a range, a fact of the run, or a column of the document."""
STANDING = {
    "number": "the run's number",
    "name": "its name",
    "process": "the process that runs",
    "company": "the company",
    "user": "who asked for it",
    "startedAt": "when it started",
}
"""What a run says of itself from its start, and what it means."""
FACTS = STANDING | {
    "stage": "the stage of the task",
    "read": "documents read",
    "created": "documents created so far",
    "updated": "documents updated so far",
    "unchanged": "documents unchanged so far",
    "restricted": "documents left out so far",
    "failed": "documents failed so far",
    "unknown": "documents of which nobody knows so far",
    "held": "documents held so far",
    "lastError": "what the document, or the last one that failed, met",
}
"""What it says to tasks: `this.run.number` in a script, `[run.number]` in a text."""
KEYS = {
    "succeededKeys": "keys of the documents that succeeded so far, a list",
    "failedKeys": "keys of the documents that failed so far, a list",
}
"""What it says to scripts of tasks alone."""
ASKS_THE_RUN = re.compile(r"\[run\.[A-Za-z]+\]")


class Variables:
    """Named JSON values. `revision` grows with every change, so that whoever holds a copy knows whether it is old.

    Those of `secure` names are handles (`engine.secure`): what is written into one is sealed before anyone sees it.
    A handle is opened only where it came from these values. One that comes in any other way, in a row or an answer, was
    copied from somewhere by someone who may not know its value: it stays closed, and a variable keeps dots of it.
    """

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, vault: Vault | None = None, secure: Collection[str] = ()
    ) -> None:
        self._values: dict[str, Any] = dict(values or {})
        self._vault = vault
        self._secure = frozenset(secure)
        self._handles = set(handles_in(self._values))
        self.revision = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def snapshot(self) -> dict[str, Any]:
        """Give the values as they are now."""
        return dict(self._values)

    def value(self, name: str) -> Any:
        """Give one value as it is now. A name that the run does not have is a `KeyError`."""
        return self._values[name]

    def update(self, values: Mapping[str, Any]) -> None:
        """Take these values over. A name that the run does not have is a mistake of the caller."""
        unknown = values.keys() - self._values.keys()
        if unknown:
            raise KeyError(f"{sorted(unknown)} are no variables of this run.")
        if any(self._values[name] != value for name, value in values.items()):
            self._values.update({name: self._as_kept(name, value) for name, value in values.items()})
            self.revision += 1

    def take_back(self, values: Mapping[str, Any]) -> None:
        """Take over what a child of the run left, with the handles that it sealed."""
        self._handles |= handles_in(values)
        self.update(values)

    @property
    def hold_secure_values(self) -> bool:
        """True when a handle stands in one of them, or may come to."""
        return bool(self._secure) or any(map(has_handle, self._values.values()))

    def opened(self, value: Any) -> Any:
        """Give `value` with secure values in the clear: for what leaves, at the moment it leaves."""
        return self._vault.opened(value, only=self._handles) if self._vault else value

    def _as_kept(self, name: str, value: Any) -> Any:
        value = masked(value, but=self._handles)
        if name not in self._secure or self._vault is None or is_handle(value):
            return value
        sealed = self._vault.sealed(name, text_of(self.opened(value)))
        self._handles.add(sealed)
        return sealed


def with_ends(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values and beside each range of dates its ends: `GBL_NAME.from` and `GBL_NAME.to`."""
    ranges = {name: value for name, value in values.items() if isinstance(value, dict) and {"from", "to"} <= set(value)}
    return {**values, **{f"{name}.{end}": value[end] for name, value in ranges.items() for end in ("from", "to")}}


def text_of(value: Any) -> str:
    """Give a value as text has it: text as it is, nothing as nothing, anything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def filled(text: str, values: Mapping[str, Any], form: Callable[[Any], str] = text_of) -> str:
    """Give `text` with every `[name]` that has a value replaced by it, in its `form`; the others stay as they are."""
    return IN_BRACKETS.sub(lambda found: form(values[found[1]]) if found[1] in values else found[0], text)


def named_in(*texts: str) -> frozenset[str]:
    """Give every name that stands in brackets in these texts."""
    return frozenset(name for text in texts for name in IN_BRACKETS.findall(text))


def mentioned(texts: Iterable[str]) -> frozenset[str]:
    """Give the names of the variables that scripts or texts mention."""
    return frozenset(name for text in texts for name in NAME.findall(text))
