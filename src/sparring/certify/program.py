"""What branch and bound leaves open, by mixed-integer programming (Tjeng, Xiao & Tedrake 2019, arXiv:1711.07356).

HiGHS cuts planes as well as cases, and finds the last adversarial examples that no attack comes near enough to. An
image that is out of reach is a certificate only if every margin stays above the threshold that all bounds must pass;
what the program says is exact up to HiGHS's tolerance, 1e-6. A point that it finds counts if it fools the model.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from sparring.blocks.exact.nearest import by_program
from sparring.certify.question import Question
from sparring.norms import L1


def by_programs(question: Question, margin: Tensor, points: Tensor, seconds: float) -> Tensor:
    """Prove or break images, each for so many seconds at most; bool [B], those that are proved.

    Args:
        margin: [B] the least seen of each image, and points [B, ...] where; both are lowered in place where a point
            that fools is found.
    """
    proved = torch.zeros(len(question), dtype=torch.bool, device=margin.device)
    for at in range(len(question)):
        one = question[torch.tensor([at], device=margin.device)].doubled()
        rows, _ = one.rows()
        ways = [-row[None] for row in rows]
        slack, deadline = float(one.threshold[0]), time.perf_counter() + seconds
        found = by_program(one.graph, one.region, ways, one.ball.norm is L1, deadline, slack)
        if found.point is None:
            proved[at] = found.settled
            continue
        point = one.ball.project(found.point.reshape(one.ball.x.shape).to(one.ball.x))
        gap = float(-one.goal(torch.zeros(1, dtype=torch.int64)).margin(one.model.logits(point).detach())[0])
        if gap < float(margin[at]):
            margin[at], points[at] = gap, point[0].to(points)
    return proved
