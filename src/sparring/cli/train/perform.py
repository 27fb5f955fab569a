"""One training from its options to its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.cli.train.options import Fitting, Learning, TrainData, TrainFiles
    from sparring.defenses.training.callbacks import Callback
    from sparring.defenses.training.fit import Fitted


class Training:
    """A training that is known to make sense, with its images loaded.

    Raises:
        InputError: no such net, recipe or data, or they do not go together; found out before the first batch.
    """

    def __init__(
        self,
        learning: Learning,
        data: TrainData,
        fitting: Fitting,
        files: TrainFiles,
        seed: int,
        device: str | None,
    ) -> None:
        from sparring.audit.suites.find import suite as find_suite
        from sparring.cli.exclusions import without
        from sparring.data import load_data
        from sparring.defenses.training.recipes import find_recipe
        from sparring.errors import InputError
        from sparring.model import wrap
        from sparring.zoo.registered import untrained

        self.learning, self.data, self.fitting, self.files = learning, data, fitting, files
        self.seed, self.device = seed, device
        self.threat = learning.threat()
        self.recipe, values = find_recipe(learning.recipe)
        if learning.steps is not None:
            values["steps"] = str(learning.steps)
        self.loss = self.recipe.loss(self.threat, values)
        images, self.excluded = without(load_data(data.data, "train"), data.exclude or [])
        self.images = images.first(min(data.limit, len(images))) if data.limit else images
        self.test = load_data(data.data, "test")
        self.channels, height, width = self.images.shape
        if height != width:
            raise InputError(
                f"the pictures of {data.data} are {height} x {width}; the nets here take square ones (see --data)"
            )
        self.size = height
        self.classes = self.images.classes
        self.net = untrained(
            learning.net, in_channels=self.channels, num_classes=len(self.classes), size=height, seed=seed
        )
        if self.threat is not None:
            find_suite(files.suite).fit(wrap(self.net), self.threat)  # refused now, not hours later

    def fit(self) -> Fitted:
        """Train."""
        from sparring.cli.train.check import watched
        from sparring.defenses.training.fit import fit

        how, recipe = self.fitting, self.recipe
        return fit(
            self.net,
            self.images,
            epochs=how.epochs,
            loss=self.loss,
            optimizer=how.optimizer,
            lr=recipe.lr if how.lr is None else how.lr,
            schedule=how.schedule or recipe.schedule,
            batch_size=how.batch_size or recipe.batch_size,
            seed=self.seed,
            augment=self.data.augment,
            valid=self.test,
            out=self.files.out,
            resume=self.files.resume,
            device=self.device or "auto",
            devices=how.devices,
            precision=how.precision,  # type: ignore[arg-type]  # fit says which there are
            watch=watched(self.threat, recipe, self.learning.alarm),
            callbacks=self._callbacks(),
        )

    def _callbacks(self) -> list[Callback]:
        from sparring.cli.epochs import display
        from sparring.defenses.training.curves import Curves, TensorBoard

        out = self.files.out
        log = [TensorBoard(out / "tensorboard")] if self.files.tensorboard else []
        return [display(), Curves(out, resume=self.files.resume), *log]

    def card(self, fitted: Fitted) -> dict[str, Any]:
        """What came of it, measured on the test images."""
        from sparring.cli.train.check import audited, prover_of
        from sparring.defenses.training.card import NetCard, data_card, make_card
        from sparring.defenses.training.measure import clean_accuracy
        from sparring.zoo.nets import count_parameters

        files, net = self.files, self.net
        net.to(fitted.device)
        robust = None
        if self.threat is not None and files.check:
            prover = prover_of(self.loss)
            robust = audited(net, self.test, files.check, self.threat, files.suite, self.seed, files.out, prover)
        return make_card(
            name=files.out.resolve().name,
            recipe=self.recipe.title,
            net=NetCard(self.learning.net, self.channels, len(self.classes), self.size, count_parameters(net)),
            fitted=fitted,
            weights=files.out / "weights.safetensors",
            train=data_card(self.data.data, self.images, self.excluded),
            test=data_card(self.data.data, self.test),
            clean=clean_accuracy(net, self.test),
            robust=robust,
            classes=self.classes,
        )
