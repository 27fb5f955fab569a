"""How `sparring audit` is worked on: in memory; or around a folder, by processes and machines that share its shards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Callback
    from sparring.audit.report.report import Report
    from sparring.audit.run.plan import Plan

AGAIN = "import sys; from sparring.cli import main; sys.argv[0] = 'sparring'; main()"
"how a worker starts, whatever the console script is called"


@dataclass(frozen=True)
class Work:
    """Who does an audit, and where it is kept.

    Attributes:
        out: the folder; None = in memory only. resume: go on with the run in it. force: forget the run in it.
        workers: processes with one thread each, this one included; None = this one, with torch's threads.
        share: (i, n): only the i-th of n shares of the shards. worker: this is a worker of the process of that number.
    """

    out: Path | None
    resume: bool = False
    force: bool = False
    workers: int | None = None
    share: tuple[int, int] | None = None
    worker: int | None = None

    def check(self) -> None:
        """Find out before the work whether it can be kept; one thread a process from here on, if so wanted.

        Raises:
            InputError: no folder where one is needed, or it cannot be written to.
        """
        from sparring.errors import InputError
        from sparring.export.files import open_folder

        if self.out is None:
            for flag, given in (("--resume", self.resume), ("--workers", self.workers), ("--shard", self.share)):
                if given:
                    raise InputError(f"{flag} needs the folder that the work is kept in: --out DIR")
        elif self.worker is None:
            open_folder(self.out, force=self.force)
        if self.workers is not None or self.worker is not None:
            import torch

            torch.set_num_threads(1)

    def carry_out(self, plan: Plan, options: dict[str, Any], progress: Callback, log: Console) -> Report | None:
        """Do the work; the report, or None where that is left to others (a worker, a share of the shards).

        Args:
            options: of the command, kept in the folder so that `merge`, `verify` and `rerun` know them.
        """
        from sparring.audit.run.folder import Run
        from sparring.audit.run.in_process import carry_out
        from sparring.cli.audit.run_options import keep_options
        from sparring.scale.store import Store

        if self.out is None:
            return carry_out(plan, progress)
        if self.worker is not None:
            run = Run.open(plan, self.out, resume=True)
            run.work(self._numbers(run), progress, stop=lambda: os.getppid() != self.worker)
            return None
        if self.force and not self.resume:
            Store.clear(self.out)
        run = Run.open(plan, self.out, self.resume)
        numbers = self._numbers(run)
        keep_options(self.out, options)
        for number in run.store.mend():
            log.print(f"shard {number} was damaged: it is made anew", highlight=False, soft_wrap=True)
        run.head()  # refuses what makes no sense before more processes start
        with self._helpers(options, log) as helpers:
            run.work(numbers, progress, stop=lambda: buried(helpers))
        if self.share is not None and run.store.missing():
            return None
        return run.report()

    def _numbers(self, run: Any) -> list[int] | None:
        return None if self.share is None else run.share(self.share)

    @contextmanager
    def _helpers(self, options: dict[str, Any], log: Console) -> Iterator[list[subprocess.Popen[bytes]]]:
        """All workers but this process: audits with the same options."""
        from sparring.cli.audit.run_options import words_of

        share = None if self.share is None else "/".join(map(str, self.share))
        about = {"out": self.out, "shard": share, "worker": os.getpid(), "resume": True, "quiet": True}
        words = [sys.executable, "-c", AGAIN, "audit", *words_of({**options, **about})]
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with ExitStack() as files:
            said = [files.enter_context(tempfile.TemporaryFile()) for _ in range((self.workers or 1) - 1)]
            running = [subprocess.Popen(words, env=alone, stdout=subprocess.DEVNULL, stderr=one) for one in said]
            try:
                yield running
                for process in running:
                    process.wait()
            finally:
                for process in running:
                    if process.poll() is None:
                        process.terminate()
                        process.wait()
            for process, file in zip(running, said, strict=True):
                if process.returncode:
                    file.seek(0)
                    lines = file.read().decode(errors="replace").strip().splitlines()
                    why = lines[-1] if lines else f"ended by signal {-process.returncode}"
                    log.print(
                        f"a worker stopped early ({why}); the others did its shards", markup=False, soft_wrap=True
                    )


def buried(helpers: list[subprocess.Popen[bytes]]) -> bool:
    """Ask about the helpers, so that those which died are known to be dead and their leases to be void; never stops."""
    for process in helpers:
        process.poll()
    return False


def parse_share(text: str | None) -> tuple[int, int] | None:
    """The i and the n of "i/n".

    >>> parse_share("2/4")
    (2, 4)
    """
    from sparring.errors import InputError

    if text is None:
        return None
    i, _, n = text.partition("/")
    if not (i.strip().isdigit() and n.strip().isdigit()) or not 1 <= int(i) <= int(n):
        raise InputError(f"--shard is {text!r}; write i/n with i from 1 to n, as 2/4")
    return int(i), int(n)
