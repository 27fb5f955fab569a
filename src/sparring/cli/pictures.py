"""Folders of pictures, read in the colours and the size that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparring.data import ImageData
    from sparring.model import Model
    from sparring.zoo.takes import Takes

SIZE = ("size", "resize", "crop")
"options that say how large the pictures become"


def read_for(model: Model, images: ImageData, data: str) -> tuple[ImageData, str | None]:
    """Pictures as the model takes them, and a line that says so; as they are where the user said how to read them.

    Raises:
        InputError: the pictures have several sizes, and so could what the model takes.
    """
    from sparring.zoo.takes import taken_by

    if images.chosen is None:
        return images, None
    takes = taken_by(model)
    changes: dict[str, int | bool] = {}
    if takes.channels == 1 and "gray" not in images.chosen:
        changes["gray"] = True
    channels = 1 if changes else images.shape[0]
    side = None if images.chosen & set(SIZE) else _side(model, images, takes, channels, data)
    if side is not None:
        changes["size"] = side
        if model.resize is not None and model.input_size is not None and model.resize >= side:
            changes["resize"] = model.resize
    if not changes:
        return images, None
    how = [word for key, word in (("gray", "in grey"), ("size", f"at {side} x {side} pixels")) if key in changes]
    spec = with_options(data, changes)
    return images.reread(**changes), f"pictures are read {', '.join(how)}, as {model.name} takes them ({spec})"


def _side(model: Model, images: ImageData, takes: Takes, channels: int, data: str) -> int | None:
    """The side that the pictures must get; None = they may stay as they are, or nobody knows."""
    from sparring.errors import InputError
    from sparring.zoo.takes import accepts, usual_sides

    if takes.height is not None:
        return takes.height if takes.height == takes.width else None
    alike = len(set(images.sizes())) == 1
    if alike and accepts(model, (channels, *images.shape[1:])):
        return None
    sides = usual_sides(model, channels)
    if len(sides) > 1:
        shown = ", ".join(map(str, sides[:4]))
        raise InputError(
            f"the pictures in {images.name} have several sizes, and {model.name} takes several sizes, too ({shown}, "
            f"...): say to which they are to be brought, as {with_options(data, {'size': sides[0]})}"
        )
    return sides[0] if sides else None


def remedy(model: Model, images: ImageData, data: str) -> str:
    """What to write instead, where a model cannot take pictures as the user had them read."""
    from sparring.zoo.takes import taken_by

    if images.chosen is None:
        return ""
    takes = taken_by(model)
    known: dict[str, int | bool] = {"gray": True} if takes.channels == 1 else {}
    if takes.height is not None and takes.height == takes.width:
        known["size"] = takes.height
    if known:
        return f"; write {with_options(data.partition('?')[0], known)}"
    return f"; say how to read them: {data.partition('?')[0]}?gray=1 for grey, ?size=64 for 64 x 64 pixels"


def with_options(data: str, options: dict[str, int | bool]) -> str:
    """The spec with more options."""
    more = "&".join(f"{key}={int(value)}" for key, value in options.items())
    return f"{data}{'&' if '?' in data else '?'}{more}"
