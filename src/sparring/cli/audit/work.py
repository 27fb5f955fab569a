"""How `sparring audit` is worked on: in memory; or around a folder, by processes and machines that share its shards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import Stopped
from sparring.cli.console import note
from sparring.cli.loading import refuse_alone
from sparring.cli.options import ForceOption, OutOption, WorkersOption, flat, printed, words_of

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Callback
    from sparring.audit.report.report import Report
    from sparring.audit.run.folder import Run
    from sparring.audit.run.plan import Plan
    from sparring.cli.audit.executors.executor import Executor
    from sparring.cli.audit.options import AuditOptions

_PANEL = "Long runs"


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
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Share the work among the workers of a Ray cluster: auto, ray://HOST:PORT, or nothing = one on this "
            "machine.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    slurm: Annotated[
        str | None,
        typer.Option(
            "--slurm",
            metavar="[KEY=VALUE,...]",
            help="Share the work among --workers jobs of a Slurm cluster, such as slurm_partition=gpu,timeout_min=120.",
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

    @property
    def parameters(self) -> dict[str, Any]:
        """Of submitit's executor, from --slurm."""
        from sparring.spec import number, read_pairs

        pairs = [one for one in (self.slurm or "").split(",") if one]
        return {
            key: number(value) for key, value in read_pairs(pairs, f"--slurm {self.slurm}", "write key=value").items()
        }

    @contextmanager
    def kept(self, log: Console) -> Iterator[Work]:
        """This work, in a folder here where --out is a place in an object store.

        Raises:
            InputError: as `sparring.scale.remote.mirrored`; or the jobs of Slurm would not see the folder.
        """
        from sparring.errors import InputError
        from sparring.scale.remote import folder_of, mirrored

        if self.out is None or self.worker is not None:
            yield self
            return
        if self.slurm is not None and folder_of(self.out) is None:
            raise InputError("--slurm needs an --out that all nodes see: a folder, not an object store")
        with mirrored(self.out, lambda line: note(log, line)) as out:
            yield replace(self, out=out)

    def check(self) -> None:
        """Find out before the work whether it can be kept; one thread a process from here on, if so wanted.

        Raises:
            InputError: no folder where one is needed, or it cannot be written to.
        """
        from sparring.errors import InputError
        from sparring.export.files import open_folder

        if self.ray is not None and self.slurm is not None:
            raise InputError("--ray and --slurm cannot be combined")
        needing = {
            "--resume": self.resume,
            "--workers": self.workers,
            "--shard": self.share,
            "--ray": self.ray,
            "--slurm": self.slurm is not None and self.parameters is not None,  # a bad parameter shows here
        }
        if self.out is None:
            for flag, given in needing.items():
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

        if self.ray is not None or self.slurm is not None or (self.workers or 1) > 1:
            refuse_alone(plan.model)
        try:
            if self.out is None:
                return carry_out(plan, progress)
            return self._around(self.out, plan, options, progress, log)
        except KeyboardInterrupt:
            if self.out is None:
                raise Stopped("nothing is kept; with --out DIR an audit can be gone on with") from None
            raise Stopped(f"the run lies in {self.out}; go on with: {options.command} {printed(self.again)}") from None

    @property
    def again(self) -> Work:
        """The same, to go on with what is there."""
        return replace(self, resume=True, force=False)

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
        self._executor(options, log).work(run, numbers, progress)
        if self.share is not None and run.store.missing():
            return None
        return run.report()

    def _numbers(self, run: Run) -> list[int]:
        return run.share(self.share or (1, 1))

    def _executor(self, options: AuditOptions, log: Console) -> Executor:
        """Who makes the shards."""
        if self.ray is not None:
            from sparring.cli.audit.executors.ray import Ray

            return Ray(self.ray, self.workers, flat(options))
        if self.slurm is not None:
            from sparring.cli.audit.executors.slurm import Slurm

            return Slurm(self.workers or 1, flat(options), self.parameters)
        from sparring.cli.audit.executors.processes import Processes

        mine = Work(out=self.out, shard=self.shard, worker=os.getpid(), resume=True)
        words = words_of({**flat(options), **flat(mine), "quiet": True})
        return Processes(self.workers or 1, ["audit", *words], log)


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
