"""What the adversary knows, as one value that is printed with every figure.

The four parts are those of Biggio and Roli's framework (2018, doi:10.1016/j.patcog.2018.07.023): the training data D,
the features X, the learning algorithm f and its hyper-parameters w. What the adversary does not know it replaces by
a surrogate: half of the data, features of its own, another algorithm, other settings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from sparring.defenses.training.learners import Learner, LinearLearner, NetLearner
from sparring.errors import InputError


@dataclass(frozen=True)
class Knowledge:
    """Four switches, from nothing to everything.

    Attributes:
        data: all training images. Without it the adversary sees, and changes, a random half of them.
        features: the pixels of a linear learner, or the trained features of a transfer learner. Without it the
            adversary averages pixels over 2 x 2, or trains features of its own.
        algorithm: the kind of learner. Without it the surrogate is of another kind.
        parameters: its hyper-parameters. Without it the surrogate has other ones.

    >>> print(Knowledge.parse("data+algorithm"))
    data, algorithm
    >>> print(Knowledge.parse("everything"))
    everything (data, features, algorithm, parameters)
    """

    data: bool = True
    features: bool = True
    algorithm: bool = True
    parameters: bool = True

    @classmethod
    def parse(cls, text: str) -> Knowledge:
        """From "everything", "nothing" or names joined by +.

        Raises:
            InputError: another word.
        """
        names = [one.name for one in fields(cls)]
        words = {"everything": "+".join(names), "nothing": ""}.get(text.strip().lower(), text.strip().lower())
        known = {word.strip().replace("hyper-parameters", "parameters") for word in words.split("+") if word.strip()}
        if not known <= set(names):
            raise InputError(
                f"knowledge is {text!r}; write everything, nothing, or parts joined by +: {', '.join(names)}"
            )
        return cls(**{name: name in known for name in names})

    def __str__(self) -> str:
        known = [one.name for one in fields(self) if getattr(self, one.name)]
        if len(known) == len(fields(self)):
            return f"everything ({', '.join(known)})"
        return ", ".join(known) or "nothing"

    def to_dict(self) -> dict[str, bool]:
        """Plain values for JSON."""
        return {one.name: bool(getattr(self, one.name)) for one in fields(self)}

    def surrogate(self, victim: Learner) -> Learner:
        """The learner that the adversary trains in the victim's place.

        >>> from sparring.defenses.training.learners import learner
        >>> Knowledge(parameters=False).surrogate(learner("logistic:C=1")).spec
        'logistic:C=0.01'
        """
        if isinstance(victim, NetLearner):
            made = victim if self.algorithm else replace(victim, net="net-f-half" if victim.net == "wong" else "wong")
            return made if self.parameters else replace(made, epochs=max(1, made.epochs // 2), lr=made.lr / 2)
        if isinstance(victim, LinearLearner):
            kind = victim.kind if self.algorithm else {"logistic": "svm"}.get(victim.kind, "logistic")
            return LinearLearner(kind, victim.C if self.parameters else victim.C / 100)
        return victim
