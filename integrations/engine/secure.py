"""Secure values as a run carries them: as handles, opaque texts that are opened on the way out and are dots to people.

A handle holds the sealed value itself, bound to its variable and the moment it was set. So it may lie wherever values
lie: in a variable, a script, a checkpoint, a child. What a script makes of it goes out with the value in its place.
"""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from integrations.engine.secret import DOTS

HANDLE = re.compile(r"~(GBL_[A-Z0-9_]+)~(\d{1,12})~([A-Za-z0-9_-]{38,})~")
"""Its letters mean nothing in JSON, HTML or an address, so that it survives a script that prepares one."""

SHOWN = re.compile(r"~GBL_[A-Z0-9_]+~\d{1,12}~[A-Za-z0-9_-]*~?")
"""A handle, or what a text that was cut left of it."""

Seal = Callable[[str, str], str]
"""Seals a text for a place, in letters of `HANDLE`."""
Unseal = Callable[[str, str], str]
"""Gives back what was sealed for a place. Raises what the run should end with when it cannot."""


class Vault:
    """Seals and opens the secure values of one company. `known` are those that were in the clear meanwhile: whoever
    writes something down keeps them out of it."""

    def __init__(self, seal: Seal, unseal: Unseal) -> None:
        self._seal, self._unseal = seal, unseal
        self.known: set[str] = set()

    def sealed(self, name: str, text: str, *, at: datetime | None = None) -> str:
        """Give the handle of a text that is the value of a variable. Nothing stays nothing."""
        if not text:
            return ""
        self.known.add(text)
        moment = int((at or datetime.now(UTC)).timestamp())
        return f"~{name}~{moment}~{self._seal(_place(name, moment), text)}~"

    def opened(self, value: Any, *, only: Collection[str] | None = None) -> Any:
        """Give `value` with every handle in it, or `only` with these, replaced by what it stands for."""

        def opened(found: re.Match[str]) -> str:
            return self._open(found) if only is None or found[0] in only else found[0]

        return _changed(value, lambda text: HANDLE.sub(opened, text))

    def _open(self, found: re.Match[str]) -> str:
        text = self._unseal(_place(found[1], int(found[2])), found[3])
        self.known.add(text)
        return text


def masked(value: Any, *, but: Collection[str] = ()) -> Any:
    """Give `value` with dots in place of every handle, but for those named."""
    return _changed(value, lambda text: SHOWN.sub(lambda found: found[0] if found[0] in but else DOTS, text))


def handles_in(value: Any) -> frozenset[str]:
    """Give every handle that stands anywhere in `value`."""
    found: set[str] = set()

    def noted(text: str) -> str:
        found.update(handle[0] for handle in HANDLE.finditer(text))
        return text

    _changed(value, noted)
    return frozenset(found)


def is_handle(value: Any, *, of: str = "") -> bool:
    """True for a text that is one handle and nothing besides, if need be `of` this variable."""
    found = HANDLE.fullmatch(value) if isinstance(value, str) else None
    return found is not None and of in ("", found[1])


def has_handle(value: Any) -> bool:
    """True when a handle stands anywhere in `value`."""
    return bool(masked(value) != value)


def set_at(handle: str) -> datetime | None:
    """Give the moment at which the value of a handle was set; None for what is none."""
    found = HANDLE.fullmatch(handle)
    return datetime.fromtimestamp(int(found[2]), UTC) if found else None


def _place(name: str, moment: int) -> str:
    return f"variable/{name}/{moment}"


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if "~" in value else value
    if isinstance(value, dict):
        return {_changed(key, change): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, change) for item in value]
    return value
