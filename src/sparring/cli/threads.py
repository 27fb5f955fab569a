"""How many threads torch may use: as many as were asked for, else one or all, whichever is faster on this model.

Small nets are fastest with one: what a second thread saves, waiting for it costs, and on a machine that is busy with
other work threads wait for each other most of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.model import Model

SECONDS = 1.0
"the most that the measurement takes, but for its first round"
IMAGES, ROUNDS = 32, 3
PAYS = 1.2
"so many times as fast several threads must be: one leaves the others to other work"
LEAST = 1e-4
"seconds that they must save at least: less is noise"
SMALL = 5_000_000
"weights; with more, threads pay, and nothing is measured"


def settle_threads(wanted: int | None, model: Model, image: Tensor) -> None:
    """Let torch use as many threads as `wanted`; None = one or as many as now, by what is faster.

    A copy of the net is timed, so that a model that keeps count of its questions is not asked any. Nothing is timed
    for one thread, on another device, behind a defense, or of large nets: there all threads are used.

    Args:
        image: [1, ...] one that the model takes.
    """
    import torch

    most = torch.get_num_threads()
    if wanted is not None:
        torch.set_num_threads(wanted)
    elif most > 1 and (net := _copied(model)) is not None:
        x = model.accept(image).repeat_interleave(IMAGES, 0).requires_grad_()
        torch.set_num_threads(faster_threads(lambda: torch.autograd.grad(net.logits(x).sum(), x), most))


def faster_threads(work: Callable[[], object], most: int) -> int:
    """1, or `most` where that does the work faster: both in turn, the best of a few rounds each."""
    import torch

    best, started = {1: float("inf"), most: float("inf")}, time.perf_counter()
    for round_ in range(ROUNDS + 1):
        for threads in best:
            torch.set_num_threads(threads)
            before = time.perf_counter()
            work()
            if round_ or time.perf_counter() - started > SECONDS:  # the first is for caches, if there is time
                best[threads] = min(best[threads], time.perf_counter() - before)
        if time.perf_counter() - started > SECONDS:
            break
    return most if best[most] * PAYS + LEAST < best[1] else 1


def _copied(model: Model) -> Model | None:
    """A copy of a small plain model on the CPU, frozen and in eval mode; None where it is something else."""
    import copy

    from torch import nn

    from sparring.model import Model as Plain

    net = model.net
    if type(model) is not Plain or not isinstance(net, nn.Module) or model.access != "gradient":
        return None
    if model.device is None or model.device.type != "cpu" or sum(p.numel() for p in net.parameters()) > SMALL:
        return None
    try:
        twin = copy.copy(model)
        twin.net = copy.deepcopy(net).eval().requires_grad_(False)
    except Exception:  # whatever a net's own code makes of it: then nothing is timed
        return None
    return twin
