"""The end of a search that circles the boundary: from the nearest point that fools, back towards x by bisection."""

from __future__ import annotations

from sparring.blocks.boundary import retract
from sparring.bout import Bout

HALVINGS = 8
COST = HALVINGS // 2
"in steps of a forward and a backward each"


def close(bout: Bout) -> None:
    """`HALVINGS` queries for each row of which something has been found, also those that left the search before."""
    part = bout.part(1)
    part.standing(done=~part.found[1].isfinite())
    if len(part):
        retract(part, part.found[0], HALVINGS)
