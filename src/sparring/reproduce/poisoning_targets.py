"""Clean-label attacks on single images: how many of several targets get the wanted class.

From scratch: the victim trains all its weights, from other first weights than the adversary's net. Transfer: the victim
trains the last layer on features that the adversary knows. The figures follow Schwarzschild et al. 2021
(arXiv:2006.12557), at the size of small digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.audit.statistics.mcnemar import mcnemar
from sparring.audit.statistics.proportion import Figure
from sparring.data.images import ImageData
from sparring.defenses.training.learners import HeadLearner, Learner, NetLearner
from sparring.errors import InputError
from sparring.poisoning import poison
from sparring.poisoning.base import Poisoned
from sparring.poisoning.knowledge import Knowledge
from sparring.reproduce.poisoning_experiment import OverSeeds, answers
from sparring.seeds import derived_seed


@dataclass(frozen=True)
class Aimed:
    """One attack on several targets.

    Attributes:
        attack: its name. setting: "from scratch" or "transfer". knows: the adversary's knowledge. spec: the attack.
        won: for each target and victim whether the target gets the wanted class, bool [T, seeds].
        control: the same without poison. first: the poisoned set of the first target.
    """

    attack: str
    setting: str
    knows: str
    spec: str
    won: Tensor
    control: Tensor
    first: Poisoned

    @property
    def success(self) -> OverSeeds:
        """The share of the targets won, over the victims."""
        return _over_seeds(self.won)

    @property
    def usual(self) -> OverSeeds:
        """The same without poison."""
        return _over_seeds(self.control)

    @property
    def mostly(self) -> Tensor:
        """bool [T]: targets won for most victims."""
        return self.won.double().mean(1) > 0.5

    def against(self, other: Aimed) -> float:
        """The p-value of McNemar's exact test, over the targets that the two attacks have in common."""
        mine, theirs = self.mostly, other.mostly
        return mcnemar(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "attack": self.attack, "setting": self.setting, "knows": self.knows, "poison": self.spec,
            "success": self.success.to_dict(), "control": self.usual.to_dict(), "targets": len(self.won),
            "targets_won": int(self.mostly.sum()), "won": self.won.tolist(),
        }  # fmt: skip


def _over_seeds(won: Tensor) -> OverSeeds:
    return OverSeeds(tuple(Figure(int(one.sum()), len(one)) for one in won.T))


def aimed(
    specs: Sequence[str],
    train: ImageData,
    test: ImageData,
    learner: NetLearner,
    *,
    targets: Sequence[tuple[int, int]],
    seeds: Sequence[int],
    body: nn.Sequential | None = None,
    knows: Knowledge | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Aimed]:
    """Let each attack loose on each target, and train one victim for each seed.

    Args:
        specs: attacks, without their target. learner: the victim, or with `body` how its last layer is trained.
        targets: (number of the test image, the class it shall get). body: the frozen net of transfer learning.
    """
    knows = knows or Knowledge()
    victim: Learner = learner if body is None else HeadLearner(body, learner)
    setting = "from scratch" if body is None else "transfer"
    clean = {seed: victim.learn(train, _fresh(seed)) for seed in seeds}
    found = []
    for spec in specs:
        won, control = (torch.zeros(len(targets), len(seeds), dtype=torch.bool) for _ in range(2))
        first = None
        for i, (number, label) in enumerate(targets):
            made = poison(f"{spec}{',' if ':' in spec else ':'}target={number},label={label}")
            poisoned = made(train, seed=number, knows=knows, victim=learner, features=body, held_out=test)
            first = first or poisoned
            x = test[number][0][None]
            for j, seed in enumerate(seeds):
                won[i, j] = int(answers(victim.learn(poisoned.data, _fresh(seed)), x)[0]) == label
                control[i, j] = int(answers(clean[seed], x)[0]) == label
        assert first is not None
        found.append(Aimed(made.info.name, setting, str(knows), spec, won, control, first))
        share, mostly = found[-1].success.value, int(found[-1].mostly.sum())
        say(f"{setting}: {spec}: {share:.1%} of {len(targets)} targets; {mostly} for most seeds")
    return found


def pick_targets(nets: Sequence[nn.Module], test: ImageData, count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Test images that all nets get right, at random, each with the class that the first net finds second best.

    Raises:
        InputError: there are fewer.
    """
    x, y = test.tensors()
    right = torch.stack([answers(net, x) == y for net in nets]).all(0).nonzero().flatten()
    if len(right) < count:
        raise InputError(
            f"the nets get {len(right)} of the {len(test)} test images right; {count} targets were asked for"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "targets"))
    chosen = right[torch.randperm(len(right), generator=generator)[:count]]
    with torch.no_grad():
        logits = nets[0](x[chosen]).scatter(1, y[chosen, None], -torch.inf)
    return list(zip(chosen.tolist(), logits.argmax(1).tolist(), strict=True))


def _fresh(seed: int) -> int:
    """A victim's seed, which no net of the adversary has."""
    return derived_seed(seed, "victim")
