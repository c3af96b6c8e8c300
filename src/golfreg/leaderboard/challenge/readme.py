"""What a README claims, as far as that can be read reliably: the numbers that stand in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from golfreg.leaderboard.challenge import tolerant

MAX_NUMBERS = 20_000
_SCORE = re.compile(r"(?<![\d.])([0-3]\.\d{2,10})(?![\d.]*\d)")


@dataclass(frozen=True)
class Claims:
    """``scores``: every number between 0 and 4 with two decimals or more, as written; in prose and tables alike."""

    scores: frozenset[str]

    def mentions(self, score: float) -> bool:
        """Whether it stands there, rounded or cut to four places or more, or to as many as it has."""
        least = min(4, tolerant.decimals(score))
        for said in self.scores:
            places = len(said) - 2
            if places >= least and abs(float(said) - score) <= 1.001 * 10.0**-places:
                return True
        return False


def read_claims(data: bytes) -> Claims:
    """The numbers of a README. Text that is not UTF-8 is read as far as it can be."""
    found = _SCORE.finditer(data.decode("utf-8", "replace"))
    return Claims(frozenset(match[1] for match in islice(found, MAX_NUMBERS)))
