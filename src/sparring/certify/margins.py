"""Bounds of the margins of a batch by intervals, CROWN or alpha-CROWN, checked in float64 where it matters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.bounds.alpha import alpha_margins
from sparring.bounds.crown import crown_margins, crown_neurons, interval_margins
from sparring.certify.question import Question

Bound = Callable[[Question], Tensor]


def by_intervals(question: Question) -> Tensor:
    """[B, K - 1] lower bounds of the margins by intervals; [B, 1] towards a target, so for all here."""
    rows, owner = question.rows()
    with torch.no_grad():
        return interval_margins(question.graph, question.region, rows, owner).reshape(len(question), -1)


def by_crown(question: Question) -> Tensor:
    """[B, K - 1] by CROWN."""
    return by_alpha_crown(question, 0)


def by_alpha_crown(question: Question, steps: int) -> Tensor:
    """[B, K - 1] by CROWN, and those that it does not settle by alpha-CROWN with so many steps."""
    graph, region = question.graph, question.region
    rows, owner = question.rows()
    neurons = crown_neurons(graph, region)
    bound = crown_margins(graph, region, neurons, rows, owner)
    left = (bound <= question.threshold[owner]).nonzero().squeeze(1)
    if steps and len(left):
        better = alpha_margins(graph, region, neurons.lines, rows[left], owner[left], steps)
        bound[left] = torch.maximum(bound[left], better)
    return bound.reshape(len(question), -1)


def proved(question: Question, bound: Bound) -> tuple[Tensor, Tensor]:
    """(bool [B] proved, float64 [B] the lower bound of the smallest margin).

    Bounds in float32 that are too near to zero to be trusted are worked out again in float64.
    """
    least = bound(question).amin(1)
    sure = least > question.threshold
    least = least.double()
    near = (~sure & ~(least < -question.threshold)).nonzero().squeeze(1)
    if len(near) and question.size.dtype is not torch.float64:
        again = question[near].doubled()
        least[near] = bound(again).amin(1)
        sure[near] = least[near] > again.threshold
    return sure, least
