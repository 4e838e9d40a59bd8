"""JavaScript of designers, evaluated in a child process that can reach nothing and may die at any time."""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.engine.plan import Plan
from integrations.engine.variables import Variables
from integrations.scripting.sandbox import Limits, Sandbox

__all__ = ["Limits", "Sandbox", "open_scripts"]


def open_scripts(
    plan: Plan,
    columns: Sequence[str],
    *,
    variables: Variables | None = None,
    limits: Limits | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Sandbox:
    """Start the script child of a run for rows with these columns; scripts read and write `variables`, and read the
    `facts` that stand for the whole run.

    Raises `DefinitionError` for what cannot compile.
    """
    return Sandbox(plan, columns, limits or Limits(), variables or Variables(), facts or {})
