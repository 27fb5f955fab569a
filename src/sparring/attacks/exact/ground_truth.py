"""The smallest perturbation that there is, proven: what other attacks are measured by.

A good attack goes first. Then two questions take turns (`blocks.exact.nearest`): which point that switches the same
ReLUs is nearest (a linear program), and does the ball of that radius hold any other that fools (branch and bound)?
Carlini, Katz, Barrett & Dill 2017, arXiv:1709.10207.

Differs from the paper: no bisection, since a linear program is exact; bounds by CROWN and beta-CROWN
(arXiv:2103.06624) instead of Reluplex, mixed-integer programming (Tjeng et al. 2019, arXiv:1711.07356) towards a
target; untargeted as the nearest of all classes.
Fails on: nets with more than some hundred unstable ReLUs, where time runs out; a doubt then says how many distances are
not proven, and what the attack before found stands. Layers other than linear, convolution, pooling and ReLU: likewise.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.attacks import attack
from sparring.blocks.exact.nearest import claims, nearest, stretched
from sparring.bout import Bout
from sparring.norms import L1, Linf


@register(
    "ground-truth",
    title="Ground-Truth attack",
    sees="gradient",
    norms=(Linf, L1),
    aim="minimum",
    year=2017,
    paper="arXiv:1709.10207",
    approach="approximation",
    random=True,
    survey="Ground-Truth Attack [20]",
)
class GroundTruth(Attack):
    """The smallest perturbation, proven optimal, of small ReLU nets.

    Args:
        passes: of the attack before, for each image. seconds: of the proof, for each image.
    """

    passes: PositiveInt = 1000
    seconds: PositiveFloat = 120.0

    def run(self, bout: Bout) -> None:
        attack(f"min-norm:passes={self.passes}").run(bout.child(0))
        bout.active()
        graph = bout.graph()
        if graph is None or not len(bout):
            return
        z, (begin, sizes) = bout.x.clone(), bout.nearest_success
        reach = sizes.minimum(bout.eps).clamp(max=bout.ball.width * bout.x[0].numel())
        for row, ways in enumerate(claims(bout.goal, graph.classes)):
            at = bout.goal.label.new_tensor([row])
            start = begin[at] if bool(sizes[row] <= reach[row]) else None
            found = nearest(graph, bout.ball[at], ways, float(reach[row]), self.seconds, start)
            bout.note_least(at, found.lower, found.proved)
            z[row : row + len(found.points[:1])] = found.points[:1]
        for further in stretched(bout.x, z):
            bout.submit(bout.ball.clip(further))
