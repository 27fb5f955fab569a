"""The figures for a model's page on the Hugging Face Hub, in both forms that it reads.

`.eval_results/*.yaml` is the present one (https://huggingface.co/docs/hub/eval-results), the `model-index` block of a
model card the one before it. Shares are fractions, not per cent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sparring import storage
from sparring.audit.report import document as doc
from sparring.audit.report.document import Document
from sparring.audit.statistics.proportion import Figure

DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
"our names of data sets -> theirs; what is not here keeps its name"


def eval_results(document: Document) -> list[dict[str, Any]]:
    """The entries of `.eval_results/*.yaml`: clean and robust accuracy."""
    place = DATASETS.get(document["data"]["name"], document["data"]["name"])
    return [
        {
            "dataset": {"id": place, "task_id": task},
            "value": figure.value,
            "date": document["created"],
            "notes": f"{_note(document, figure)}; {about}",
        }
        for task, figure, about in (
            ("clean-accuracy", doc.clean(document), "before any attack"),
            (_slug(f"robust-accuracy-{doc.threat(document)}"), doc.robust(document), _about(document)),
        )
    ]


def model_index(document: Document) -> dict[str, Any]:
    """The `model-index` block for the metadata of a model card."""
    data = document["data"]
    threat = doc.threat(document)
    metrics = [
        ("accuracy", doc.clean(document), "Clean accuracy"),
        ("robust_accuracy", doc.robust(document), f"Robust accuracy at {threat}, at most"),
        ("attack_success_rate", doc.success(document), f"Attack success rate at {threat}, at least"),
    ]
    dataset = {"type": DATASETS.get(data["name"], data["name"]), "name": data["name"]}
    result = {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": dataset | ({"split": data["split"]} if data["split"] else {}),
        "metrics": [
            {"type": kind, "value": figure.value, "name": name, "args": _args(document, figure)}
            for kind, figure, name in metrics
            if figure.of
        ],
    }
    return {"model-index": [{"name": document["model"]["name"], "results": [result]}]}


def files(document: Document) -> dict[str, str]:
    """What to put into a model's repository: path -> text."""
    return {
        ".eval_results/sparring.yaml": _yaml(eval_results(document)),
        "model-index.yaml": _yaml(model_index(document)),
    }


def write(document: Document, folder: Path) -> list[Path]:
    """Write `files` below `folder`."""
    return [storage.write(folder / name, text) for name, text in files(document).items()]


def _yaml(plain: Any) -> str:
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)


def _note(document: Document, figure: Figure) -> str:
    return f"{figure.hits} of {document['n']} images; {figure.interval}"


def _about(document: Document) -> str:
    return (
        f"upper bound: worst case of {len(document['attacks'])} attacks within {doc.threat(document)}, "
        f"sparring {document['versions']['sparring']}, suite {document['suite']}, seed {document['seed']}; "
        f"verdict: {document['status']}"
    )


def _args(document: Document, figure: Figure) -> dict[str, Any]:
    return {
        "norm": document["threat"]["norm"],
        "eps": doc.eps(document),
        "suite": document["suite"],
        "seed": document["seed"],
        "hits": figure.hits,
        "of": figure.of,
        "low": figure.low,
        "high": figure.high,
        "confidence": 0.95,
    }


def _slug(text: str) -> str:
    return text.lower().replace(" ", "-")
