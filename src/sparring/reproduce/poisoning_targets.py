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
from torch import nn

from sparring.audit.statistics.proportion import Figure
from sparring.data.images import ImageData
from sparring.defenses.training.learners import HeadLearner, Learner, NetLearner
from sparring.poisoning import poison
from sparring.poisoning.base import Poisoned
from sparring.poisoning.knowledge import Knowledge
from sparring.reproduce.poisoning_experiment import answers
from sparring.seeds import derived_seed


@dataclass(frozen=True)
class Aimed:
    """One attack on several targets.

    Attributes:
        attack: its name. setting: "from scratch" or "transfer". knows: the adversary's knowledge.
        success: targets that get the wanted class, over all targets and seeds. control: the same without poison.
        targets: targets that get it for most seeds. first: the poisoned set of the first target.
    """

    attack: str
    setting: str
    knows: str
    spec: str
    success: Figure
    control: Figure
    targets: Figure
    first: Poisoned

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "attack": self.attack, "setting": self.setting, "knows": self.knows, "poison": self.spec,
            "success": self.success.to_dict(), "control": self.control.to_dict(), "targets": self.targets.to_dict(),
        }  # fmt: skip


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
        hits, usual, most, first = 0, 0, 0, None
        for number, label in targets:
            made = poison(f"{spec}{',' if ':' in spec else ':'}target={number},label={label}")
            poisoned = made(train, seed=number, knows=knows, victim=learner, features=body, held_out=test)
            first = first or poisoned
            x = test[number][0][None]
            wins = sum(int(answers(victim.learn(poisoned.data, _fresh(seed)), x)[0]) == label for seed in seeds)
            hits, most = hits + wins, most + (2 * wins > len(seeds))
            usual += sum(int(answers(net, x)[0]) == label for net in clean.values())
        assert first is not None
        count = len(targets) * len(seeds)
        found.append(
            Aimed(made.info.name, setting, str(knows), spec, Figure(hits, count), Figure(usual, count),
                  Figure(most, len(targets)), first)
        )  # fmt: skip
        say(f"{setting}: {spec}: {found[-1].success}")
    return found


def pick_targets(nets: Sequence[nn.Module], test: ImageData, count: int) -> list[tuple[int, int]]:
    """The first test images that all nets get right, each with the class that the first net finds second best."""
    x, y = test.tensors()
    right = torch.stack([answers(net, x) == y for net in nets]).all(0)
    with torch.no_grad():
        logits = nets[0](x).scatter(1, y[:, None], -torch.inf)
    chosen = right.nonzero().flatten()[:count]
    return [(int(number), int(logits[number].argmax())) for number in chosen]


def _fresh(seed: int) -> int:
    """A victim's seed, which no net of the adversary has."""
    return derived_seed(seed, "victim")
