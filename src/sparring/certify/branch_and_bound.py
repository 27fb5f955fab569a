"""Complete verification: cut the ball by the signs of unstable ReLUs until each part is proved, or broken.

Bunel et al. 2018, arXiv:1711.00455; bounds by beta-CROWN (`split`). CROWN goes first, which costs less than an attack;
then attacks on what it leaves, so that no proof is tried of what is broken; then alpha-CROWN, and only the (image,
class) pairs that it leaves are cut. Parts of all images are bounded together. Every part's worst-looking point is shown
to the model: it may break the image.
Differs from beta-CROWN: a part inherits the neurons' bounds of the whole ball; the ReLU to split is the one whose two
lines give most away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.attacks import attack as find_attack
from sparring.bounds.alpha import alpha_margins
from sparring.bounds.backward import Form, settle
from sparring.bounds.crown import crown_margins, crown_neurons
from sparring.bounds.split import Parts, Splitter
from sparring.certify.margins import by_crown, proved
from sparring.certify.program import by_programs
from sparring.certify.question import Question
from sparring.threat import Threat

ROOT_STEPS, STEPS, LEAF_STEPS = 50, 15, 200
"""of ascent for the whole ball, for a part, and for a part in which every ReLU is settled"""
LEAF_ROUNDS = 8
"of so many steps, each at the full rate again"


@dataclass(frozen=True)
class Verdicts:
    """What the search says about B images: bool [B], bool [B], float64 [B], float64 [B], and [B, ...] the points that
    have the smallest margin."""

    certified: Tensor
    attacked: Tensor
    bound: Tensor
    margin: Tensor
    points: Tensor


def verify(
    question: Question, margin: Tensor, attacks: str, seconds: float, nodes: int, program: float, seed: int
) -> Verdicts:
    """Prove, attack and prove harder, until every image is settled or its time is over.

    Args:
        margin: [B] of the clean images. attacks: specs joined by "+", or "off". seconds: for cutting, an image. nodes:
            parts that are bounded at once. program: seconds of mixed-integer programming for each image that is open
            then. seed: of the attacks.
    """
    margin = margin.double().clone()
    points = question.ball.x.clone()
    certified, bound = proved(question, by_crown)
    threshold = question.threshold.double()
    left = (~certified).nonzero().squeeze(1)
    if len(left):
        margin[left], points[left] = _attacked(question[left], margin[left], attacks, seed)
        left = left[margin[left] >= 0]
    if len(left) and question.graph.relus:  # a linear net has nothing to cut
        rest = question[left]
        search = _Search(rest.doubled() if rest.cancels else rest, margin[left], seconds, nodes)
        search.run()
        bound[left] = torch.maximum(bound[left], search.bound)
        threshold[left] = search.question.threshold.double()
        lower = (search.margin < margin[left]).nonzero().squeeze(1)
        margin[left[lower]], points[left[lower]] = search.margin[lower], search.points[lower]
    certified = certified | (bound > threshold)
    left = (~certified & (margin >= 0)).nonzero().squeeze(1)
    if program and len(left):
        least, at = margin[left], points[left]
        certified[left] = by_programs(question[left], least, at, program)
        margin[left], points[left] = least, at
        bound[left] = torch.where(certified[left], torch.maximum(bound[left], threshold[left]), bound[left])
    attacked = margin < 0
    certified = certified & ~attacked
    return Verdicts(certified, attacked, torch.minimum(bound, margin), margin, points)


def _attacked(question: Question, margin: Tensor, attacks: str, seed: int) -> tuple[Tensor, Tensor]:
    """The margins [B], lowered to the smallest that the attacks see, and the points where they see it."""
    ball, margin, points = question.ball, margin.clone(), question.ball.x.clone()
    for spec in [] if attacks == "off" else attacks.split("+"):
        rows = (margin >= 0).nonzero().squeeze(1)
        if not len(rows):
            break
        here = ball[rows]
        threat = Threat(ball.norm, float(ball.eps[0]), ball.box, None, here.free)
        result = find_attack(spec)(question.model, here.x, question.goal(rows), threat, seed=seed)
        seen = -result.margin.to(margin).nan_to_num(nan=-torch.inf)
        lower = seen < margin[rows]
        margin[rows[lower]], points[rows[lower]] = seen[lower], result.x_adv.to(points)[lower]
    return margin, points


class _Search:
    """Branch and bound over some images together."""

    def __init__(self, question: Question, margin: Tensor, seconds: float, nodes: int) -> None:
        self.question, self.margin, self.seconds, self.nodes = question, margin, seconds, nodes
        graph, region = question.graph, question.region
        rows, owner = question.rows()
        neurons = crown_neurons(graph, region)
        least = crown_margins(graph, region, neurons, rows, owner)
        self.points = question.ball.x.clone()
        "[B, ...] where `margin` was seen, if here"
        self.proved = torch.full_like(margin, torch.inf)
        "[B] the least of the bounds of what is proved of each image"
        self.stuck = torch.full_like(margin, torch.inf)
        "[B] the least bound of parts that cannot be cut any further"
        left = (least <= question.threshold[owner]).nonzero().squeeze(1)
        better = alpha_margins(graph, region, neurons.lines, rows[left], owner[left])
        least[left] = torch.maximum(least[left], better)
        self._note(self.proved, owner, least.double().masked_fill(least <= question.threshold[owner], torch.inf))
        left = (least <= question.threshold[owner]).nonzero().squeeze(1)
        self.owner = owner[left]
        self.spent = torch.zeros_like(margin)
        form = settle(graph, Form.of(graph.last, rows[left]))
        self.splitter = Splitter(graph, region[self.owner], form, neurons[self.owner])
        self.open = self.splitter.whole()
        self.open = Parts(**{**vars(self.open), "bound": least[left]})

    def run(self) -> None:
        """Until nothing is open."""
        waiting, self.open = self.open, self.open[self.open.pair[:0]]
        for part in torch.split(waiting.pair, self.nodes) if len(waiting) else ():
            self._take(waiting[part], ROOT_STEPS)
        while len(self.open):
            chosen = self._chosen()
            picked = self.open[chosen]
            keep = torch.ones(len(self.open), dtype=torch.bool, device=chosen.device)
            keep[chosen] = False
            self.open = self.open[keep]
            self._take(picked.children(), STEPS)

    @property
    def bound(self) -> Tensor:
        """[B] what is known for sure of the smallest margin."""
        return torch.minimum(self.proved, self.stuck)

    def _take(self, parts: Parts, steps: int) -> None:
        """Bound parts, show their worst points, and keep open what is not settled."""
        began = time.perf_counter()
        found, points, _ = self.splitter.bound(parts, steps)
        owner = self.owner[found.pair]
        for _ in range(LEAF_ROUNDS):
            open_ = (found.choice < 0) & (found.bound <= self.question.threshold[owner]) & (self.margin[owner] >= 0)
            leaf = open_.nonzero().squeeze(1)
            if not len(leaf):
                break
            # Every ReLU is settled: only the multipliers are not at their best yet, or a point breaks the image.
            again, more, mean = self.splitter.bound(found[leaf], LEAF_STEPS)
            found = _put(found, leaf, again)
            points = points.index_put((leaf,), more)
            self._show(mean, owner[leaf])
        self._show(points, owner)
        threshold = self.question.threshold[owner]
        sure = found.bound > threshold
        self._note(self.proved, owner[sure], found.bound[sure].double())
        stuck = ~sure & (found.choice < 0)
        self._note(self.stuck, owner[stuck], found.bound[stuck].double())
        share = (time.perf_counter() - began) / len(found)
        self.spent.index_add_(0, owner, torch.full_like(threshold, share, dtype=torch.float64))
        self.open = self.open + found[~sure & ~stuck]
        over = (self.margin < 0) | (self.spent > self.seconds) | self.stuck.isfinite()
        late = over[self.owner[self.open.pair]]
        self._note(self.stuck, self.owner[self.open.pair[late]], self.open.bound[late].double())
        self.open = self.open[~late]

    def _chosen(self) -> Tensor:
        """The parts to cut next: the worst of each pair, then the second worst of each, as many as are done at once."""
        order = self.open.bound.argsort(stable=True)
        order = order[self.open.pair[order].argsort(stable=True)]
        pair = self.open.pair[order]
        place = torch.arange(len(pair), device=pair.device)
        first = torch.ones_like(pair, dtype=torch.bool)
        first[1:] = pair[1:] != pair[:-1]
        rank = place - torch.where(first, place, 0).cummax(0).values
        return order[rank.argsort(stable=True)[: max(1, self.nodes // 2)]]

    def _show(self, points: Tensor, owner: Tensor) -> None:
        """Ask the model about the points [D, d] and note the margins."""
        question, ball = self.question, self.question.ball
        z = ball[owner].clip(points.to(ball.x.dtype).reshape(-1, *ball.x.shape[1:]))
        seen = -question.goal(owner).margin(question.model.logits(z)).double()
        seen = seen.masked_fill(~ball[owner].contains(z), torch.inf)
        before = self.margin[owner]
        self._note(self.margin, owner, seen)
        for row in ((seen < before) & (seen == self.margin[owner])).nonzero().flatten().tolist():
            self.points[owner[row]] = z[row]

    def _note(self, least: Tensor, owner: Tensor, values: Tensor) -> None:
        least.scatter_reduce_(0, owner, values, "amin")


def _put(parts: Parts, rows: Tensor, others: Parts) -> Parts:
    values: dict[str, Any] = {
        name: value.index_put((rows,), getattr(others, name)) for name, value in vars(parts).items()
    }
    return Parts(**values)
