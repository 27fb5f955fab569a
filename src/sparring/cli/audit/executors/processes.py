"""Shards made by this process and by others beside it on this machine, around the folder of the run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

from sparring.cli.console import note

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Callback
    from sparring.audit.run.folder import Run

AGAIN = "import sys; from sparring.cli import main; sys.argv[0] = 'sparring'; main()"
"how a worker starts, whatever the console script is called"


class Processes:
    """This process and `count` - 1 workers.

    Args:
        words: of the command that starts a worker. log: where a worker that stopped early is reported.
    """

    def __init__(self, count: int, words: Sequence[str], log: Console) -> None:
        self.count = count
        self.words = [sys.executable, "-c", AGAIN, *words]
        self.log = log

    def work(self, run: Run, numbers: Sequence[int], progress: Callback) -> None:
        with self._started() as workers:
            run.work(numbers, progress, stop=lambda: _reaped(workers))

    @contextmanager
    def _started(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """All workers but this process."""
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with ExitStack() as files:
            outputs = [files.enter_context(tempfile.TemporaryFile()) for _ in range(self.count - 1)]
            workers = [
                subprocess.Popen(self.words, env=alone, stdout=subprocess.DEVNULL, stderr=one) for one in outputs
            ]
            try:
                yield workers
                for worker in workers:
                    worker.wait()
            finally:
                for worker in workers:
                    if worker.poll() is None:
                        worker.terminate()
                        worker.wait()
            for worker, output in zip(workers, outputs, strict=True):
                if worker.returncode:
                    line = _last_line(worker, output)
                    note(self.log, f"a worker stopped early ({line}); the others did its shards")


def _last_line(worker: subprocess.Popen[bytes], output: IO[bytes]) -> str:
    """The last line that a worker printed, or the signal that ended it."""
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ended by signal {-worker.returncode}"


def _reaped(workers: list[subprocess.Popen[bytes]]) -> bool:
    """Poll the workers, so that those which died are known to be dead and their leases to be void; never stops."""
    for worker in workers:
        worker.poll()
    return False
