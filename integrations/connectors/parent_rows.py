"""The rows of the run that starts this one: a process that is only ever a child names the columns that it expects."""

from collections.abc import Iterator
from typing import Any

from integrations.connectors.spec import Connector, FieldKind, Setting, SourceContext, SourceKind
from integrations.engine.batch import RowBatch
from integrations.engine.errors import DefinitionError


class ParentRows:
    """What a run without a parent would read: columns that are known, and no rows."""

    def __init__(self, context: SourceContext) -> None:
        self._columns = expected(context.spec.options.get("columns"))

    @property
    def columns(self) -> tuple[str, ...]:
        return self._columns

    def read(self) -> Iterator[RowBatch]:
        raise DefinitionError(
            "The rows come from the run that starts this one, so there are none to show here. Look at the Preview of the "
            "process that runs it.",
            code="definition.parent_rows",
        )

    def close(self) -> None:
        """Nothing is open."""


def expected(text: Any) -> tuple[str, ...]:
    """Read the names of columns, one a line. Raises `DefinitionError` for one that stands there twice."""
    names = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"The column {name} is named twice. Remove one.", code="definition.columns")
    return tuple(names)


def _open(context: SourceContext) -> ParentRows:
    return ParentRows(context)


CONNECTOR = Connector(
    key="parent",
    title="Parent run",
    summary="Rows of the run that starts this one.",
    sources=(
        SourceKind(
            key="parent_rows",
            title="Rows of the parent run",
            open=_open,
            from_parent=True,
            settings=(
                Setting(
                    name="columns",
                    label="Columns expected of the parent",
                    kind=FieldKind.LONG_TEXT,
                    required=True,
                    help="One name a line. Only processes whose source has them, with these types, may run this one.",
                ),
            ),
        ),
    ),
)
