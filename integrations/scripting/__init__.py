"""JavaScript of designers, evaluated in a child process that can reach nothing and may die at any time."""

from collections.abc import Sequence

from integrations.engine.plan import Plan
from integrations.scripting.sandbox import Limits, Sandbox

__all__ = ["Limits", "open_scripts"]


def open_scripts(plan: Plan, columns: Sequence[str], *, limits: Limits | None = None) -> Sandbox:
    """Start the script child of a run for rows with these columns. Raises `DefinitionError` for what cannot compile."""
    return Sandbox(plan, columns, limits or Limits())
