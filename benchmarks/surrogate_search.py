"""BASES: how many queries of the model, when nets of one's own are at hand?

    SPARRING_DATA=... python benchmarks/surrogate_search.py --n 100
    python benchmarks/surrogate_search.py --model mnist-cnn --surrogates mnist-cnn-fast,mnist-cnn-pgd --eps 0.3

Beside it: the same surrogates with one query (MI-FGSM on the mean of their logits), and Square, which has none. Queries
are those to the first success, of the images that are fooled, the clean image included.
"""

from __future__ import annotations

import argparse

from common import load_images, load_net, sparring_or_skip, table
from transfer import wilson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mnist-cnn")
    parser.add_argument("--surrogates", default="mnist-cnn-distilled,mnist-cnn-pgd")
    parser.add_argument("--eps", default="0.2")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    options = parser.parse_args()
    sp = sparring_or_skip()
    net = load_net(options.model)
    x, y = load_images(options.n, correct_for=net)
    surrogates = [sp.load_model(name) for name in options.surrogates.split(",")]
    threat, budget = sp.Threat("Linf", options.eps), sp.Budget(queries=options.queries)
    attacks = {
        "MI-FGSM, one query": sp.attack("mifgsm", surrogates=surrogates),
        "BASES": sp.attack(f"bases:queries={options.queries}", surrogates=surrogates),
        "Square, no surrogates": sp.attack(f"square:queries={options.queries}"),
    }
    rows = []
    for name, attack in attacks.items():
        result = attack(net, x, y, threat, budget=budget)
        used = result.first_hit[result.success].double()
        low, high = wilson(len(used), len(x))
        figures = (
            [f"{(used <= 2).double().sum() / len(x):.1%}", f"{used.mean():.1f}", f"{used.quantile(0.5):.0f}"]
            if len(used)
            else ["", "", ""]
        )
        rows.append([name, f"{len(used) / len(x):.1%}", f"{low:.0%} to {high:.0%}", *figures])
    table(
        f"{options.model} from {options.surrogates}, Linf {options.eps}, {len(x)} images, {options.queries} queries",
        ["attack", "fooled", "95 % interval", "by the first point", "mean queries", "median"],
        rows,
    )


if __name__ == "__main__":
    main()
