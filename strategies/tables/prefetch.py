"""Having the next things ready: an iterator that runs in a thread of its own while its items are used."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_END = object()
_PATIENCE = 0.1  # seconds between looks whether anybody still wants the next item


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


@contextmanager
def prefetched(items: Iterable[T], ahead: int = 2) -> Iterator[Iterator[T]]:
    """Iterate with up to ``ahead`` items made in advance; leaving the block ends the thread, however it is left."""
    ready: queue.Queue[object] = queue.Queue(maxsize=ahead)
    unwanted = threading.Event()
    maker = threading.Thread(target=_make, args=(items, ready, unwanted), name="prefetch", daemon=True)
    maker.start()
    try:
        yield _taken(ready)
    finally:
        unwanted.set()
        maker.join()


def _make(items: Iterable[object], ready: "queue.Queue[object]", unwanted: threading.Event) -> None:
    try:
        for item in items:
            if not _put(ready, item, unwanted):
                return
        _put(ready, _END, unwanted)
    except BaseException as error:  # raised again in the thread that uses the items
        _put(ready, _Failure(error), unwanted)


def _put(ready: "queue.Queue[object]", item: object, unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            ready.put(item, timeout=_PATIENCE)
            return True
        except queue.Full:
            continue
    return False


def _taken(ready: "queue.Queue[object]") -> Iterator[T]:
    while (item := ready.get()) is not _END:
        if isinstance(item, _Failure):
            raise item.error
        yield item  # type: ignore[misc]
