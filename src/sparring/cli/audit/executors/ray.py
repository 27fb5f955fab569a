"""Shards made by the workers of a Ray cluster (extra `sparring[ray]`).

Each worker loads the model once and gets the first look once. Shards are tasks; their results come back to this
process, which writes them. So the nodes need the model and the data, but no folder in common. Ray starts a lost worker
again and repeats its shard.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparring.cli.audit.executors.shards_done import ShardsDone
from sparring.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from sparring.audit.cascade.progress import Callback
    from sparring.audit.run.folder import Run
    from sparring.audit.run.prepare import Prepared
    from sparring.scale.store import Record

RETRIES = 3
"how often a shard is repeated whose worker was lost, and how often a worker is started again"


class Ray:
    """Workers of a cluster.

    Args:
        address: "local" = start one on this machine; "auto" or "ray://host:port" = the one that runs there.
        workers: how many; None = as many as the cluster has GPUs (of a model on a GPU) or processors.
        options: of the audit, as plain values: each worker loads model and data from them.
    """

    def __init__(self, address: str, workers: int | None, options: Mapping[str, Any]) -> None:
        self.address = address
        self.workers = workers
        self.options = dict(options)

    def work(self, run: Run, numbers: Sequence[int], progress: Callback) -> None:
        ray = _ray()
        missing = [number for number in numbers if not run.store.done(number)]
        if not missing:
            return
        self._begin(ray)
        try:
            self._work(ray, run, missing, progress)
        finally:
            ray.shutdown()

    def _begin(self, ray: Any) -> None:
        fresh = {"num_cpus": self.workers, "include_dashboard": False} if self.address == "local" else {}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level="error", **fresh)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"--ray {self.address}: no cluster there ({line})") from None

    def _work(self, ray: Any, run: Run, missing: list[int], progress: Callback) -> None:
        known = ShardsDone(run, len(missing), progress, "shards by Ray")
        head = ray.put(run.store.load("head"))
        gpu = int(str(self.options.get("device") or "cpu").startswith("cuda"))
        count = self.workers or int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1))
        kind = ray.remote(num_cpus=1, num_gpus=gpu, max_restarts=RETRIES, max_task_retries=RETRIES)(Worker)
        workers = [kind.remote(self.options, run.store.plan) for _ in range(min(count, len(missing)))]
        todo = list(missing)
        running = {}
        for worker in workers:
            number = todo.pop(0)
            running[worker.shard.remote(number, head)] = (worker, number)
        while running:
            ready, _ = ray.wait(list(running), num_returns=1)
            worker, number = running.pop(ready[0])
            record = _result(ray, ready[0], number)
            run.store.make(number, lambda record=record: record)  # type: ignore[misc]
            known.add(number)
            if todo:
                number = todo.pop(0)
                running[worker.shard.remote(number, head)] = (worker, number)


class Worker:
    """One process of the cluster, with a model of its own.

    Args:
        options: of the audit. plan: what the run is about; a worker that loads something else refuses.
    """

    def __init__(self, options: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        import json

        import torch

        from sparring.cli.audit.options import AuditOptions
        from sparring.cli.options import built

        torch.set_num_threads(1)
        self.head: Prepared | None = None
        self.plan = built(AuditOptions, options).plan()
        if json.loads(json.dumps(self.plan.identity())) != plan:
            raise InputError("a worker has another model, other data or another version of sparring")

    def shard(self, number: int, head: Record) -> Record:
        """The record of one shard. `head`: of the first look."""
        from sparring.audit.run.folder import record_of
        from sparring.audit.run.in_process import seeded
        from sparring.audit.run.prepare import Prepared, refuse_another_model

        if self.head is None:
            prepared = Prepared.of_record(self.plan, head)
            with seeded(self.plan.seed):
                refuse_another_model(self.plan, prepared)
            self.head = prepared
        return record_of(self.plan, self.head, number)


def _result(ray: Any, reference: Any, number: int) -> Record:
    try:
        record: Record = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayActorError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, InputError):
            raise cause from None
        line = " ".join(str(error).split())[:300]
        raise InputError(
            f"--ray: the worker of shard {number} was lost {RETRIES + 1} times ({line}); finished shards are kept, "
            "go on with --resume"
        ) from None
    return record


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra("--ray", "ray") from None
    return ray
