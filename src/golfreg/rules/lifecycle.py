"""The life of an entry: which status may follow which, and who may set it."""

from __future__ import annotations

from typing import NamedTuple

AUTHOR, MAINTAINER = "author", "maintainer"

_ALLOWED = {
    (None, "claimed"): AUTHOR,
    (None, "support"): AUTHOR,
    ("claimed", "support"): AUTHOR,
    ("claimed", "withdrawn"): AUTHOR,
    ("claimed", None): MAINTAINER,
    ("support", "claimed"): AUTHOR,
    ("support", "withdrawn"): AUTHOR,
    ("support", None): MAINTAINER,
    ("reproduced", "withdrawn"): AUTHOR,
    ("withdrawn", "claimed"): AUTHOR,
    ("withdrawn", None): MAINTAINER,
    ("claimed", "reproduced"): MAINTAINER,
    ("claimed", "accepted"): MAINTAINER,
    ("reproduced", "claimed"): MAINTAINER,
    ("reproduced", "accepted"): MAINTAINER,
    ("accepted", "superseded"): MAINTAINER,
    ("accepted", "reverted"): MAINTAINER,
    ("superseded", "accepted"): MAINTAINER,
    ("superseded", "reverted"): MAINTAINER,
    ("reverted", "accepted"): MAINTAINER,
    ("invalid", "claimed"): MAINTAINER,
    ("invalid", "accepted"): MAINTAINER,
} | {
    (status, "invalid"): MAINTAINER
    for status in ("claimed", "reproduced", "accepted", "superseded", "support", "withdrawn", "reverted")
}  # fmt: skip
RECORDS = frozenset({"accepted", "superseded"})
"""Statuses of an entry that is, or was, the record by a maintainer's decision."""
UNRANKED = frozenset({"support", "withdrawn", "reverted", "invalid"})
"""Statuses that take part in no ranking and in no frontier."""
FROZEN = frozenset({"accepted", "superseded", "reverted", "invalid"})
"""Statuses of an entry that is history: its runs and claims are not rewritten, and it is not deleted."""


class Transition(NamedTuple):
    """``by``: who may do it, ``author`` or ``maintainer``; empty where nobody may. ``why``: why not, for the asker."""

    allowed: bool
    by: str
    why: str


def allowed_transition(before: str | None, after: str | None, *, maintainer: bool = False) -> Transition:
    """May a change take an entry from one status to another? None: there is no entry, before or after."""
    if before == after:
        return Transition(True, AUTHOR, "")
    by = _ALLOWED.get((before, after), "")
    if before is None and not by and after is not None:
        # A leaderboard that is taken over from elsewhere brings the decisions that were made there.
        by = MAINTAINER
    if not by and after is None:
        return Transition(False, "", f"an entry that is `{before}` is history: change its status, do not delete it")
    if not by:
        return Transition(False, "", f"an entry does not go from `{before}` to `{after}`")
    if by == MAINTAINER and not maintainer:
        what = f"`{after}` as the first status" if before is None else f"`{before}` to `{after}`"
        return Transition(False, by, f"only a maintainer sets {what}")
    return Transition(True, by, "")
