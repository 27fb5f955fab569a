"""Make a poisoned set again from its manifest, and know that it is the same to the last pixel."""

from __future__ import annotations

from typing import Any

from sparring.data.images import ImageData
from sparring.data.registry import load_data
from sparring.defenses.training.learners import learner
from sparring.errors import InputError
from sparring.poisoning import poison
from sparring.poisoning.base import Poisoned
from sparring.poisoning.knowledge import Knowledge


def repeat(manifest: dict[str, Any]) -> Poisoned:
    """The set that a manifest describes.

    Args:
        manifest: as `Poisoned.manifest`, with the data's spec.

    Raises:
        InputError: the clean data have changed, or this version of the package makes another set.
    """
    clean = load_data(manifest["data"], manifest["split"])
    clean = clean.first(min(manifest["n"], len(clean)))
    if clean.fingerprint() != manifest["clean_fingerprint"]:
        raise InputError(f"the clean images of {manifest['data']} ({manifest['split']}) are not those of the manifest")
    made = poison(manifest["poison"])(
        clean,
        seed=manifest["seed"],
        knows=Knowledge(**manifest["knows"]),
        victim=learner(manifest["victim"]),
        held_out=held_out(manifest["data"]),
    )
    if made.manifest["fingerprint"] != manifest["fingerprint"]:
        raise InputError(
            f"the set made again is another one; the manifest was written by version {manifest['sparring']}, and "
            "floating-point results may differ between machines for attacks that train a net"
        )
    return made


def held_out(data: str) -> ImageData | None:
    """The test images of a data set; None where it has no such split."""
    try:
        return load_data(data, "test")
    except InputError:
        return None
