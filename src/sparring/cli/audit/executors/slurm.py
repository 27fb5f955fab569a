"""Shards made by jobs of a Slurm cluster, around the folder of the run on a file system that all nodes share.

submitit (extra `sparring[slurm]`) submits the job array. Each job is a worker: it takes free shards until none
is left. A job that is lost loses its lease after a minute, and the other jobs take its shard.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.cli.audit.executors.shards_done import ShardsDone
from sparring.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from sparring.audit.cascade.progress import Callback
    from sparring.audit.run.folder import Run

LOOK = 0.5
"seconds between two looks at the folder"
ROUNDS = 3
"how often jobs are submitted before the run is given up"
FOLDER = "slurm"
"of submitit's scripts and logs, in the folder of the run"


class Slurm:
    """A job array.

    Args:
        jobs: how many. options: of the audit, as plain values: each job loads model and data from them.
        parameters: of submitit's executor, such as {"slurm_partition": "gpu", "timeout_min": 120}; "cluster": "local"
            runs the jobs as processes of this machine instead.
    """

    def __init__(self, jobs: int, options: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        self.jobs = jobs
        self.options = dict(options)
        self.parameters = dict(parameters)

    def work(self, run: Run, numbers: Sequence[int], progress: Callback) -> None:
        folder = run.store.folder
        executor = self._executor(folder / FOLDER)
        known = ShardsDone(run, len(numbers), progress, "shards by Slurm")
        waiting = list(numbers)
        for _ in range(ROUNDS):
            waiting = [number for number in waiting if not run.store.done(number)]
            if not waiting:
                break
            with executor.batch():
                jobs = [executor.submit(work, self.options, str(folder), waiting) for _ in range(self.jobs)]
            try:
                self._watch(run, waiting, known, jobs)
            except BaseException:
                for job in jobs:
                    job.cancel()
                raise
            for job in jobs:
                _refuse_input_error(job)
        missing = [number for number in numbers if not run.store.done(number)]
        if missing:
            raise InputError(
                f"{len(missing)} shards were not made in {ROUNDS} rounds of jobs; their logs lie in {folder / FOLDER}; "
                "mend the cause and go on with --resume"
            )

    def _executor(self, folder: Path) -> Any:
        try:
            import submitit
        except ImportError:
            raise MissingExtra("--slurm", "slurm") from None
        cluster = self.parameters.pop("cluster", None)
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            executor.update_parameters(**{"timeout_min": 24 * 60, **self.parameters})
        except (RuntimeError, ValueError, NameError, TypeError, KeyError) as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"--slurm: submitit refuses this: {line}") from None
        return executor

    def _watch(self, run: Run, numbers: Sequence[int], known: ShardsDone, jobs: Sequence[Any]) -> None:
        """Report shards as they come; return when all are there, or no job is left."""
        waiting = list(numbers)
        while waiting:
            ended = all(job.done() for job in jobs)  # asked first: what a job wrote before it ended is seen below
            for number in [one for one in waiting if run.store.done(one)]:
                waiting.remove(number)
                known.add(number)
            if ended:
                return
            time.sleep(LOOK)


def work(options: Mapping[str, Any], folder: str, numbers: Sequence[int]) -> str:
    """What a job does: free shards, until none is left. Returns "" or the one line that says why it cannot."""
    import torch

    from sparring.audit.run.folder import Run
    from sparring.cli.audit.options import AuditOptions
    from sparring.cli.options import built

    torch.set_num_threads(1)
    try:
        plan = built(AuditOptions, options).plan()
        Run.open(plan, folder, resume=True).work(numbers)
    except InputError as error:
        return str(error)
    return ""


def _refuse_input_error(job: Any) -> None:
    """A job that cannot work at all says why; submitting it again would not help. A lost job is not an error."""
    if job.done() and job.exception() is None and job.result():
        raise InputError(f"a job of --slurm: {job.result()}")
