"""Does a service say the same of the same picture? Asked twice about the first picture, and about a few at the end.

What was found is kept in the ledger: a cache would hide a random service from the second run on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from sparring.errors import OutputError, TargetError
from sparring.zoo.targets.answers import Answers
from sparring.zoo.targets.http.ledger import Ledger

SAME = 1e-4
"how far two answers to one picture may be apart: services round, and compute in batches"
BROKEN = 1e300
"stands for NaN and Inf"
AGAIN = 3
"pictures that are asked about again at the end"
RANDOM = 'if its answers are random, say so in the mapping ("random": true): then each look is asked and paid for'

Picture = NDArray[Any]


class Steadiness:
    """What is known of one service, and the pictures that can be asked about again.

    Args:
        name: of the service for people. service: its key in the ledger. anew: asks about a picture, and pays.
        random: the mapping says that it is; then nothing is looked at.
    """

    def __init__(
        self, name: str, service: str, ledger: Ledger, answers: Answers, anew: Callable[[Picture], Any], random: bool
    ) -> None:
        self.name, self._service, self._ledger, self._answers, self._anew = name, service, ledger, answers, anew
        self._random = random
        self._seen: dict[str, Picture] = {}
        self._looks = 0
        self.known = random
        "whether nothing needs to be asked twice"

    def settle(self) -> None:
        """See what was found out before, in whichever run or process. Nothing is asked.

        Raises:
            OutputError: that the service is random.
        """
        finding = None if self.known else self._ledger.finding(self._service)
        if finding is not None and finding.kind == "random":
            raise OutputError(
                f"{self.name} {finding.said}, in an earlier run; {RANDOM}; if it was mended, name another cache "
                "(cache=FILE)"
            )
        self.known = self.known or finding is not None

    def check(self, picture: Picture, first: Any) -> None:
        """Ask once more about a picture whose answer was `first`.

        Raises:
            OutputError: it is another answer.
        """
        how = self._difference(first, self._anew(picture))
        if how is None:
            self._ledger.find(self._service, "steady")
            self.known = True
            return
        said = f"gave another answer for the same picture ({how})"
        self._ledger.find(self._service, "random", said)
        raise OutputError(f"{self.name} {said}; {RANDOM}")

    def note(self, key: str, picture: Picture) -> None:
        """Remember the first picture that was looked at, the second, the fourth, the eighth, ..."""
        self._looks += 1
        if not self._random and self._looks & (self._looks - 1) == 0:
            self._seen[key] = picture

    def look_again(self) -> str | None:
        """Ask again about a few pictures of the run; what was seen, in words. None = there are none."""
        kept = [
            (picture, said) for key, picture in self._seen.items() if (said := self._ledger.kept(key, 0)) is not None
        ]
        chosen = [kept[place] for place in sorted({0, len(kept) // 2, len(kept) - 1})] if kept else []
        apart, asked, cause = [], 0, ""
        for picture, said in chosen[:AGAIN]:
            try:
                how = self._difference(said, self._anew(picture))
            except (TargetError, OutputError) as error:
                cause = str(error)
                break
            asked += 1
            apart += [how] if how is not None else []
        rest = f"; the others could not be asked about: {cause}" if cause else ""
        if not asked:
            return f"whether {self.name} still answers as before is not known: {cause}" if cause else None
        what = f"{asked} pictures" if asked > 1 else "1 picture"
        if not apart:
            return f"{what} asked about again at the end: the same answers{rest}"
        said = f"{len(apart)} of {what} asked about again at the end got another answer ({apart[0]})"
        self._ledger.find(self._service, "changed", said)
        return (
            f"{said}: {self.name} has changed, or is random, and the figures mix its answers; name another cache "
            f'(cache=FILE) and run again, or say "random": true in the mapping{rest}'
        )

    def earlier(self) -> str | None:
        """What an earlier run saw at its end, if it was no good; in words."""
        finding = None if self._random else self._ledger.finding(self._service)
        if finding is None or finding.kind != "changed":
            return None
        return (
            f"of {self.name}, an earlier run with this cache says: {finding.said}; its answers are mixed, so name "
            "another cache (cache=FILE) and run again"
        )

    def _difference(self, one: Any, two: Any) -> str | None:
        """How two answers differ, in words; None = they do not."""
        # a broken answer is refused elsewhere; here it is as good as another that is broken in the same way
        first, second = (
            self._answers.read([said], 1).double().nan_to_num(BROKEN, BROKEN, -BROKEN) for said in (one, two)
        )
        apart = float((first - second).abs().max())
        if apart <= SAME * max(1.0, float(first.abs().max())):
            return None
        if self._answers.kind == "labels":
            return "another class"
        return "not finite" if apart >= BROKEN / 2 else f"scores that differ by up to {apart:.3g}"
