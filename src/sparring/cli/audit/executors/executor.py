"""The one shape of an executor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sparring.audit.cascade.progress import Callback
    from sparring.audit.run.folder import Run


class Executor(Protocol):
    """Makes shards. The first look (`run.head()`) is there before; the report is made from the folder after."""

    def work(self, run: Run, numbers: Sequence[int], progress: Callback) -> None:
        """Make the shards with these numbers, and return when all lie in the folder of the run.

        Raises:
            InputError: that cannot be done; the message says what is done and how to go on.
        """
