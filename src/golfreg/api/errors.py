"""Errors that a user can act on. Anything else that escapes is a bug and exits with 70."""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_ANSWER_IS_NO = 1
EXIT_USAGE = 2
EXIT_BUG = 70


def nearest(wrong: str, known: Iterable[str], label: str) -> str:
    """A hint for a name that nothing has: the name most like it, or all of them after ``label``."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"{label}: {', '.join(names) or 'none'}"


class GolfregError(Exception):
    """A message that says what and where, and a hint that says what next.

    ``exit_code`` is 2 for usage, configuration, plugin, input and environment.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(GolfregError):
    """A setting, recipe or flag is unknown, of the wrong type or out of range."""


class PluginError(GolfregError):
    """A plugin could not be loaded, or does not keep its contract."""


class UnknownComponentError(PluginError):
    """No component of that kind and name is registered."""


class InputError(GolfregError):
    """A file or corpus that the user gave is missing, damaged or of another format."""


class EnvironmentFault(GolfregError):
    """The machine cannot do what was asked: no device, full disk, missing program."""


class AnswerIsNo(GolfregError):
    """Everything worked and the answer is no: over the cap, over time, a finding, a diverged run."""

    exit_code = EXIT_ANSWER_IS_NO
