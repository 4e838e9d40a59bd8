"""Do the next while this one is at work: an iterator that runs in a thread of its own, a bounded step ahead."""

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
LOOK_UP_SECONDS = 0.5


class Ahead(Generic[Item]):
    """Iterates `items` in a thread, at most `steps` ahead of who consumes them, in their order.

    What `items` raises is raised to the consumer in its place. `meanwhile` is called now and then while the consumer
    waits. Leaving the `with` before the end calls `interrupt`, which must make an item at work end soon.
    """

    def __init__(
        self,
        items: Iterator[Item],
        *,
        meanwhile: Callable[[], None],
        interrupt: Callable[[], None],
        steps: int = 1,
    ) -> None:
        self._items = items
        self._meanwhile = meanwhile
        self._interrupt = interrupt
        self._ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=steps)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="engine-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive() and error is not None:
            self._interrupt()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            try:
                item, error = self._ready.get(timeout=LOOK_UP_SECONDS)
            except queue.Empty:
                self._meanwhile()
                continue
            if error is not None:
                if isinstance(error, StopIteration):
                    return
                raise error
            assert item is not None
            yield item

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over((item, None)):
                    return
            self._hand_over((None, StopIteration()))
        except BaseException as error:
            self._hand_over((None, error))

    def _hand_over(self, thing: tuple[Item | None, BaseException | None]) -> bool:
        while not self._over.is_set():
            try:
                self._ready.put(thing, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
