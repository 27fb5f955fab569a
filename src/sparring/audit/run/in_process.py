"""Who does the work of a plan: this process alone, or any number of them around one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sparring.audit.cascade.progress import Callback, Clock
from sparring.audit.report.report import Report
from sparring.audit.run.conclude import conclude
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared, prepare
from sparring.audit.run.schedule import timetable
from sparring.audit.run.shard import ShardResult, attack_shard, inside
from sparring.default_dtype import float32_by_default
from sparring.seeds import torch_seed


@float32_by_default()
def carry_out(plan: Plan, progress: Callback | None) -> Report:
    """All of it, in this process; nothing is written."""
    with seeded(plan.seed):
        head = prepare(plan)
        clock = Clock(len(head.clean), head.clean.accuracy.hits, progress)
        parts = [work_on(plan, head, number, clock) for number in range(plan.shards)]
    points = torch.cat([part.worst[0].x_adv for part in parts])

    def pixels(numbers: Sequence[int]) -> dict[int, tuple[Tensor, Tensor]]:
        return {i: (clean_image(plan, i), points[i]) for i in numbers}

    return conclude(plan, head, parts, pixels)


def work_on(plan: Plan, head: Prepared, number: int, clock: Clock) -> ShardResult:
    """One shard, with its progress reported."""
    span = plan.span(number)
    correct = int(head.clean.correct[span].sum())
    table = timetable(plan, head, curve=len(inside(head.subset, span)) > 0)
    clock.open(table, correct, later=len(plan.source) - span.stop, shard=(number + 1, plan.shards), share=1 / 3)
    part = attack_shard(plan, head, number, clock)
    clock.close(part.standing)
    return part


def clean_image(plan: Plan, number: int) -> Tensor:
    """[...] one image as the model takes it."""
    x, _ = plan.source.part(number, number + 1)
    return plan.model.accept(x)[0].cpu()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, models that draw random numbers draw the same ones in every process; outside nothing has changed."""
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed(seed))
        yield
