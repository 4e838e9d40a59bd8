"""A value that must not be shown: it prints dots wherever a person or a log might see it."""

from collections.abc import Callable
from contextvars import ContextVar

DOTS = "••••••"
IN_LOGS: ContextVar[Callable[[str], str]] = ContextVar("what the process's log may say", default=str)
"""Takes the secrets of the run under way out of a text, also of what a driver says in a fault."""


class Secret:
    """Holds a secret text. Only `reveal()` gives it, and only connectors call that, at the moment of use."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return DOTS

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return DOTS

    def __reduce__(self) -> str:
        raise TypeError("A secret is not pickled: it would leave its place in plain text.")
