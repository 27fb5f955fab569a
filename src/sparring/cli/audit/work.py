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
from typing import IO, TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import Stopped
from sparring.cli.console import note
from sparring.cli.options import ForceOption, OutOption, WorkersOption, flat, words_of

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Callback
    from sparring.audit.report.report import Report
    from sparring.audit.run.folder import Run
    from sparring.audit.run.plan import Plan
    from sparring.cli.audit.options import AuditOptions

_PANEL = "Long runs"
AGAIN = "import sys; from sparring.cli import main; sys.argv[0] = 'sparring'; main()"
"how a worker starts, whatever the console script is called"


@dataclass(frozen=True, kw_only=True)
class Work:
    """Who does an audit, and where it is kept; the result does not depend on it."""

    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in --out; keep finished shards.", rich_help_panel=_PANEL),
    ] = False
    workers: WorkersOption = None
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Do only this machine's part of the work, such as 2/4; sparring merge joins the parts.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    worker: Annotated[int | None, typer.Option("--worker", hidden=True)] = None
    """this is a worker of the process of that number"""
    out: OutOption = None
    force: ForceOption = False

    @property
    def share(self) -> tuple[int, int] | None:
        """(i, n): only the i-th of n shares of the shards; None = all."""
        return part_of(self.shard)

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

    def carry_out(self, plan: Plan, options: AuditOptions, progress: Callback, log: Console) -> Report | None:
        """Do the work; the report, or None where that is left to others (a worker, a share of the shards).

        Args:
            options: of the command, kept in the folder so that `merge`, `verify` and `rerun` know them.
        """
        from sparring.audit.run.in_process import carry_out

        if self.out is None:
            return carry_out(plan, progress)
        try:
            return self._around(self.out, plan, options, progress, log)
        except KeyboardInterrupt:
            raise Stopped(f"the run lies in {self.out}; go on with the same command and --resume") from None

    def _around(self, out: Path, plan: Plan, options: AuditOptions, progress: Callback, log: Console) -> Report | None:
        """The work around a folder."""
        from sparring.audit.run.folder import Run
        from sparring.scale.store import Store

        if self.worker is not None:
            run = Run.open(plan, out, resume=True)
            run.work(self._numbers(run), progress, stop=lambda: os.getppid() != self.worker)
            return None
        if self.force and not self.resume:
            Store.clear(out)
        run = Run.open(plan, out, self.resume)
        numbers = self._numbers(run)
        options.keep(out)
        for number in run.store.mend():
            note(log, f"shard {number} was damaged: it is computed again")
        run.head()  # refuses what makes no sense before more processes start
        with self._helpers(options, log) as helpers:
            run.work(numbers, progress, stop=lambda: buried(helpers))
        if self.share is not None and run.store.missing():
            return None
        return run.report()

    def _numbers(self, run: Run) -> list[int] | None:
        return None if self.share is None else run.share(self.share)

    def _words(self, options: AuditOptions) -> list[str]:
        """The command of a worker: an audit with the same options."""
        mine = Work(out=self.out, shard=self.shard, worker=os.getpid(), resume=True)
        return [sys.executable, "-c", AGAIN, "audit", *words_of({**flat(options), **flat(mine), "quiet": True})]

    @contextmanager
    def _helpers(self, options: AuditOptions, log: Console) -> Iterator[list[subprocess.Popen[bytes]]]:
        """All workers but this process."""
        words = self._words(options)
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
                    note(log, f"a worker stopped early ({_last_line(process, file)}); the others did its shards")


def _last_line(process: subprocess.Popen[bytes], file: IO[bytes]) -> str:
    """What a worker said last, or by which signal it ended."""
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ended by signal {-process.returncode}"


def buried(helpers: list[subprocess.Popen[bytes]]) -> bool:
    """Ask about the helpers, so that those which died are known to be dead and their leases to be void; never stops."""
    for process in helpers:
        process.poll()
    return False


def part_of(text: str | None) -> tuple[int, int] | None:
    """The i and the n of "i/n".

    >>> part_of("2/4")
    (2, 4)
    """
    from sparring.errors import InputError

    if text is None:
        return None
    i, _, n = text.partition("/")
    if not (i.strip().isdecimal() and n.strip().isdecimal()) or not 1 <= int(i) <= int(n):
        raise InputError(f"--shard is {text!r}; write i/n with i from 1 to n, as 2/4")
    return int(i), int(n)
