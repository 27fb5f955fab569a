"""Something done every few seconds while a block runs, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def every(seconds: float, step: Callable[[], bool]) -> Iterator[None]:
    """Call `step` every so many seconds until the block ends, also by an error, or until it returns False.

    The thread has ended when the block has: nothing is done after it.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds) and step():
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
