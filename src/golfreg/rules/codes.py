"""Every finding's code and what holds when the rule is kept."""

from __future__ import annotations

from functools import cache


@cache
def all_codes() -> dict[str, str]:
    """Code to title, sorted by code: GR1xx to GR5xx for one entry, GR6xx imports, GR7xx the whole leaderboard."""
    from golfreg.rules.board_rules import all_board_rules
    from golfreg.rules.findings import all_rules
    from golfreg.rules.imported_rules import FOLDER_TITLES, all_imported_rules

    codes = {rule.code: rule.title for rule in all_rules()}
    codes |= {rule.code: rule.title for rule in all_board_rules()}
    codes |= FOLDER_TITLES | {rule.code: rule.title for rule in all_imported_rules()}
    return dict(sorted(codes.items()))
