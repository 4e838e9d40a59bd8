"""Secure values on their way into a destination: opened in a copy of the records that nobody keeps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from integrations.engine.batch import Delivery, LineRecords, MappedBatch
from integrations.engine.ports import Completing, Destination, Settled, Ticket
from integrations.engine.variables import Variables


class Opening:
    """`engine.ports.Destination` and `Completing` in front of another one. What the run maps, keeps and accounts for holds handles; only
    the destination gets the values."""

    def __init__(self, destination: Destination, variables: Variables) -> None:
        self._destination = destination
        self._variables = variables
        self.batch_size = destination.batch_size
        self.settles = destination.settles
        self.repeat_safe = destination.repeat_safe

    def enter(self, ticket: Ticket) -> Settled | None:
        return self._destination.enter(ticket)

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        return self._destination.deliver(replace(batch, lines=[self._opened(line) for line in batch.lines]), ticket)

    def complete(self, *, whole: bool) -> Sequence[str]:
        return self._destination.complete(whole=whole) if isinstance(self._destination, Completing) else ()

    def close(self) -> None:
        self._destination.close()

    def _opened(self, line: LineRecords) -> LineRecords:
        records: list[Any] = self._variables.opened(line.records)
        return replace(line, records=records)
