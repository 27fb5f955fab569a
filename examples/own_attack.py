"""Write an attack of your own and let it take the exam that every shipped attack takes.

python examples/own_attack.py
"""

from pydantic import PositiveInt

import sparring as sp
from sparring.attack import Attack, register
from sparring.losses import margin
from sparring.testing import check_attack


@register("halving", title="Halving steps", sees="gradient", norms=(sp.L2, sp.Linf), year=2026, paper="this example")
class Halving(Attack):
    """Steps along the gradient of the margin, each half as long as the one before."""

    steps: PositiveInt = 12

    def run(self, bout):  # bout.grad counts, judges and keeps the best; the fooled leave at `active`
        z = bout.x
        for k in range(self.steps):
            g = bout.grad(z, margin)
            z, g = bout.active(z, g)
            if not len(bout):
                break
            z = bout.ball.project(bout.ball.step(z, g, bout.eps / 2**k))
        return z


def main() -> None:
    check_attack(Halving())
    print("the exam is passed")
    x, y = sp.load_data("mnist5k", n=50).tensors()
    print(Halving()(sp.load_model("mnist-cnn"), x, y, sp.Threat("Linf", 0.1)))


if __name__ == "__main__":
    main()
