"""A register of rules of one kind: rules over an entry's records, a leaderboard, an import, a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Check = TypeVar("Check", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule(Generic[Check]):
    """``title``: what holds when the rule is kept."""

    code: str
    title: str
    check: Check


class Register(Generic[Check]):
    """Rules by code. Called with a code and a title it is a decorator that registers a function."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule[Check]] = {}

    def __call__(self, code: str, title: str) -> Callable[[Check], Check]:
        """Register a function as the rule ``code``."""

        def register(check: Check) -> Check:
            assert code not in self._rules, f"two rules have the code {code}"
            self._rules[code] = Rule(code, title, check)
            return check

        return register

    def in_order(self) -> tuple[Rule[Check], ...]:
        """Every rule registered so far, by code."""
        return tuple(self._rules[code] for code in sorted(self._rules))
