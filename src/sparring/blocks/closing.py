"""The end of a search that circles the boundary: from the nearest point that fools, back towards x by bisection."""

from __future__ import annotations

from sparring.blocks.boundary import bisect_radius
from sparring.bout import Bout

HALVINGS = 8
COST = HALVINGS // 2
"in steps of a forward and a backward each"


def close(bout: Bout) -> None:
    """`HALVINGS` queries for each row of which something has been found, also those that left the search before."""
    part = bout.child(1)
    part.active(done=~part.nearest_success[1].isfinite())
    if len(part):
        bisect_radius(part, part.nearest_success[0], HALVINGS)
