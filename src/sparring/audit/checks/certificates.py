"""Checks of certificates: an attack must not break what is proved."""

from __future__ import annotations

from torch import Tensor

from sparring.audit.checks.bracket import nearest, refuted
from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import Found, Outcome, Skipped, check


@check(
    "certificate-broken",
    title="A certificate is broken",
    means="An attack found a point inside a radius that was proved to hold none. The proof or its code is wrong, and "
    "the lower bound means nothing.",
    remedy="Look at the image that is named. Check the norm, the preprocessing and the rounding behind the "
    "certificates.",
)
def certificate_broken(seen: Evidence) -> Outcome:
    """Any image is broken inside its certified radius, which was given or proved by the audit itself."""
    every = [radii for radii in (seen.certified, seen.proved) if radii is not None]
    if not every or seen.worst is None:
        return Skipped("there are no certificates")
    found = [_broken(seen, radii) for radii in every]
    return [one for one in found if one is not None]


def _broken(seen: Evidence, radii: Tensor) -> Found | None:
    worst = seen.worst
    assert worst is not None
    broken = refuted(seen, radii)
    if not bool(broken.any()):
        return None
    certified = int((worst.clean_correct & (radii > 0)).sum())
    count, first = int(broken.sum()), int(broken.nonzero()[0, 0])
    return Found(
        f"{count} of {certified} certified images are broken inside their radius; the first is image {first}, "
        f"certified to {float(radii[first]):.4g} and broken at {float(nearest(seen)[first]):.4g}",
        count / certified,
    )
