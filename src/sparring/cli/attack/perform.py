"""One attack from its options to its result: what `sparring attack` does between reading and writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparring.cli.attack.found import Found
from sparring.cli.console import working
from sparring.cli.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from torch import Tensor

    from sparring.budget import Budget
    from sparring.cli.attack.options import Reach
    from sparring.cli.loading import LoadOptions
    from sparring.data import ImageData
    from sparring.model import Model
    from sparring.result import Result
    from sparring.threat import Goal


class Run:
    """An attack that is known to make sense before anything is loaded.

    Raises:
        InputError: no such attack, or it cannot do what is wanted of it.
    """

    def __init__(
        self,
        spec: str,
        load: LoadOptions,
        reach: Reach,
        *,
        seed: int,
        batch_size: int,
        keep: str,
        budget: Budget | None,
    ) -> None:
        from sparring.attacks import attack as make
        from sparring.cli.attack.fitting import with_weights
        from sparring.cli.attack.setup import keep_of, surrogates_of, threat_of
        from sparring.errors import InputError

        self.reach, self.seed, self.batch_size, self.budget = reach, seed, batch_size, budget
        self.chosen, self.load = with_weights(make(spec, surrogates=surrogates_of(reach.surrogate)), load)
        self.threat = threat_of(self.chosen, reach.norm, reach.eps, reach.levels)
        self.keep = keep_of(keep)
        if reach.target is not None and "targeted" not in self.chosen.info.specificity:
            raise InputError(f"{self.chosen.info.name} cannot be aimed at a class; leave out --target")

    def attack(self, log: Console) -> Found:
        """Load model and images, and attack."""
        from sparring.batches import run_batches, target_policy
        from sparring.cli.attack.region import region_of
        from sparring.cli.attack.setup import aimable, joined, remembering, threat_of

        reach = self.reach
        with working(log, self.load.title):
            loaded, images = self.load.load(log)
        model = loaded if reach.as_is else loaded.exposed()
        threat = self.threat
        if reach.region is not None:
            region = region_of(reach.region, images.shape)
            threat = threat_of(self.chosen, reach.norm, reach.eps, reach.levels, region)
        x, y, index = aimable(images, reach.target, log)
        goals: list[Goal] = []
        policy = None if reach.target is None else remembering(target_policy(reach.target, model), goals)
        with Bar(log, self.chosen.info.name, len(x)) as bar:
            result = run_batches(
                self.chosen, model, (x, y), threat,
                goal=policy, batch_size=self.batch_size, seed=self.seed, budget=self.budget, keep=self.keep,
                progress=counting(bar),
            )  # fmt: skip
        about = self._about(images, len(x))
        if goals:
            about["misclassified"] = _misclassified(model, result, y, self.batch_size)
        classes = model.classes or images.classes
        return Found(result, x, index, joined(goals, y), model, classes, about, self.batch_size)

    def _about(self, images: ImageData, attacked: int) -> dict[str, Any]:
        """What the reports say of the run."""
        load, reach, budget = self.load, self.reach, self.budget
        limits = ("queries", "gradients", "passes", "seconds")
        return {
            "model": load.model,
            "weights": load.weights and str(load.weights),
            "defense": load.defense,
            "as_is": reach.as_is,
            "data": load.data,
            "split": images.split,
            "target": reach.target,
            "surrogates": reach.surrogate,
            "left_out": len(images) - attacked,
            "keep": self.keep,
            "budget": {name: None if budget is None else getattr(budget, name) for name in limits},
        }


def counting(bar: Bar) -> Callable[[int, Result], None]:
    """What `run_batches` wants as `progress`: moves the bar, and counts how many images are fooled."""
    fooled = right = 0

    def update(done: int, result: Result) -> None:
        nonlocal fooled, right
        fooled += int((result.success & result.clean_correct).sum())
        right += int(result.clean_correct.sum())
        bar.update(done, figures=f"{fooled} of {right} fooled")

    return update


def _misclassified(model: Model, result: Result, y: Tensor, batch_size: int) -> int:
    """Images that were right and end up wrong, whether or not in the class that was aimed at."""
    from sparring.export import ask

    wrong = ask(model, result.x_adv, batch_size).prediction != y
    return int((wrong & result.clean_correct).sum())
