"""The other systems of a run, opened once its Integration Pre tasks are done: those may make what is looked for, and what
cannot be opened is then told by the tasks behind everything."""

from collections.abc import Callable, Sequence

from integrations.engine.batch import Delivery, MappedBatch
from integrations.engine.plan import Lookup
from integrations.engine.ports import Completing, Destination, Found, Settled, Ticket
from integrations.runs.lookups import RunLookups


class DestinationInTime:
    """`engine.ports.Destination` and `Completing` that is there once it was opened. Closing one that never was does
    nothing, and it has nothing to complete."""

    def __init__(self, open_it: Callable[[], Destination]) -> None:
        self._open = open_it
        self._destination: Destination | None = None
        self.batch_size, self.settles, self.repeat_safe = 1, False, False

    def open(self) -> None:
        self._destination = opened = self._open()
        self.batch_size, self.settles, self.repeat_safe = opened.batch_size, opened.settles, opened.repeat_safe

    def enter(self, ticket: Ticket) -> Settled | None:
        return self._opened.enter(ticket)

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        return self._opened.deliver(batch, ticket)

    def complete(self, *, whole: bool) -> Sequence[str]:
        return self._destination.complete(whole=whole) if isinstance(self._destination, Completing) else ()

    def close(self) -> None:
        if self._destination is not None:
            self._destination.close()

    @property
    def _opened(self) -> Destination:
        assert self._destination is not None, "the engine opens it before it asks"
        return self._destination


class LookupsInTime:
    """`engine.ports.Lookups` that are there once they were opened."""

    def __init__(self, open_them: Callable[[], RunLookups]) -> None:
        self._open = open_them
        self._lookups: RunLookups | None = None

    def open(self) -> None:
        self._lookups = self._open()

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        assert self._lookups is not None, "the engine opens them before it asks"
        return self._lookups.find(lookup, keys)

    def close(self) -> None:
        if self._lookups is not None:
            self._lookups.close()
