"""What the table of samples says beyond the headline: each class, what images are taken for, how little was enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sparring.audit.statistics.proportion import Figure

Samples = Sequence[Mapping[str, Any]]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def by_class(samples: Samples) -> list[dict[str, Any]]:
    """Clean and robust accuracy of each class that occurs, by its number.

    >>> rows = by_class([{"label": 1, "status": "standing"}, {"label": 1, "status": "wrong"}])
    >>> rows[0]["label"], rows[0]["n"], rows[0]["clean"]["hits"], rows[0]["robust"]["hits"]
    (1, 2, 1, 1)
    """
    count: Counter[tuple[int, str]] = Counter((row["label"], row["status"]) for row in samples)
    rows = []
    for label in sorted({label for label, _ in count}):
        wrong, broken, standing = (count[label, status] for status in ("wrong", "broken", "standing"))
        n = wrong + broken + standing
        clean, robust = Figure(broken + standing, n), Figure(standing, n)
        rows.append({"label": label, "n": n, "clean": clean.to_dict(), "robust": robust.to_dict()})
    return rows


def worst_class(classes: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The class of which least survives; among equals the one with most images, then the first."""
    return min(
        (dict(row) for row in classes),
        key=lambda row: (row["robust"]["hits"] / row["n"], -row["n"], row["label"]),
        default=None,
    )


def confusion(samples: Samples) -> list[dict[str, int]]:
    """What broken images are taken for: label, prediction and how many, the most frequent pair first."""
    pairs = Counter(
        (row["label"], row["adversarial_prediction"]) for row in samples if row["adversarial_prediction"] is not None
    )
    order = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    return [{"label": label, "prediction": fooled, "count": pairs[label, fooled]} for label, fooled in order]


def distances(samples: Samples) -> list[float]:
    """The smallest perturbations that fooled, of all broken images, in order."""
    return sorted(row["distance"] for row in samples if row["status"] == "broken")


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """Of values in order, each one of them (no interpolation); None where there are none.

    >>> quantiles([1.0, 2.0, 3.0])
    {'5%': 1.0, '25%': 1.0, '50%': 2.0, '75%': 3.0, '95%': 3.0}
    """
    if not values:
        return None
    return {f"{share:.0%}": values[min(len(values) - 1, int(share * len(values)))] for share in QUANTILES}
