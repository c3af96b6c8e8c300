"""Checks by kind, and the ways to run them: over a subject, over what is installed, as pytest tests."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golfreg.api import KINDS, GolfregError, UnknownComponentError
from golfreg.registry.host import Host, get_host
from golfreg.registry.records import Provider, Registered
from golfreg.registry.resolve import check_kind, load, resolve
from golfreg.registry.settings import configure

Argument = str | Callable[[Path], str] | None
"""What follows a corpus's colon, or a function that makes it in an empty directory."""

_MODULES = {
    "architecture": "architectures", "mixer": "mixers", "quantizer": "quantizers", "codec": "codecs",
    "op": "ops", "kernel": "kernel_graphs", "corpus": "corpora", "observer": "observers",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """What a check looks at: a component's target and config.

    ``ops``: names of the ops that a mixer calls (None: any). ``op``: target of the op that a
    kernel implements. ``argument`` of a corpus, and whether it takes one. ``directory``: for what a
    check writes. ``kept``: what one check made and another may use again.
    """

    target: Any
    config: Any = None
    ops: tuple[str, ...] | None = None
    op: Any = None
    argument: str | None = None
    takes_argument: bool = False
    directory: Path = field(default_factory=Path)
    kept: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Check:
    """One claim about every component of a kind. ``advice``: what the author does where it is false.

    ``run`` raises ``AssertionError`` where the claim is false, and ``Unchecked`` where it could not be looked at.
    """

    kind: str
    name: str
    advice: str
    run: Callable[[Subject], None]


class Unchecked(Exception):
    """A check had nothing to look at on this machine; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """Result of one check. ``reason``: why it failed or was not made, else empty; ``advice``: what to do if it failed.

    ``checked`` is False where there was nothing to look at: such an outcome has not failed.
    """

    check: str
    passed: bool
    reason: str = ""
    advice: str = ""
    checked: bool = True


_CHECKS: dict[str, list[Check]] = {kind: [] for kind in KINDS}


def check(kind: str, advice: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a function as a check of a kind; its name reads as the claim, ``advice`` says how to keep it."""

    def register(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        _CHECKS[kind].append(Check(kind, function.__name__, advice, function))
        return function

    return register


def expect(condition: object, explanation: str) -> None:
    """Raise ``AssertionError`` with the explanation unless the condition holds, also under ``python -O``."""
    if not condition:
        raise AssertionError(explanation)


def checks(kind: str) -> list[Check]:
    """Every check of a kind, in order."""
    check_kind(kind)
    importlib.import_module(f"golfreg.testing.{_MODULES[kind]}")
    return list(_CHECKS[kind])


def check_all(kind: str, subject: Subject) -> None:
    """Run every check of a kind over a subject; the first that fails raises."""
    with tempfile.TemporaryDirectory(prefix="golfreg-check-") as directory:
        subject = dataclasses.replace(subject, directory=Path(directory))
        for each in checks(kind):
            with contextlib.suppress(Unchecked):
                _advised(each, subject)


def iter_components(
    kind: str | None = None, *, distribution: str | None = None, host: Host | None = None
) -> Iterator[Registered]:
    """Every installed component, of one kind or distribution if given. Nothing is imported."""
    for component in (host or get_host()).components:
        if kind in (None, component.kind) and distribution in (None, component.distribution):
            yield component


def subject_of(component: Registered, argument: Argument, directory: Path) -> Subject:
    """Import a component and prepare it for its checks."""
    target, config = configure(component, {})
    directory.mkdir(parents=True, exist_ok=True)
    given = argument(directory) if callable(argument) else argument
    return Subject(
        target,
        config,
        ops=getattr(component.descriptor, "ops", None),
        op=load(resolve("op", component.op)) if component.op else None,
        argument=given,
        takes_argument=getattr(component.descriptor, "argument", None) is not None,
        directory=directory,
    )


def run_checks(component: Registered, *, argument: Argument = None) -> list[Outcome]:
    """Run every check of a component's kind. A component that cannot be imported fails one check, ``loads``."""
    with tempfile.TemporaryDirectory(prefix="golfreg-check-") as directory:
        try:
            subject = subject_of(component, argument, Path(directory))
        except GolfregError as error:
            return [Outcome("loads", False, error.message, error.hint or "")]
        return [_outcome(each, subject) for each in checks(component.kind)]


def conformance(
    kind: str | None = None,
    name: str | None = None,
    *,
    distribution: str | None = None,
    arguments: Mapping[str, Argument] | None = None,
) -> Callable[..., None]:
    """A pytest test over every check of the components chosen; assign it to a name that starts with ``test_``.

    ``arguments``: name of a corpus to its argument, or to a function of a directory that makes
    one. A corpus that takes an argument and gets none is checked only for how it refuses; the rest is skipped.
    Raises ``UnknownComponentError`` if nothing was chosen.
    """
    import pytest

    chosen = [c for c in iter_components(kind, distribution=distribution) if name in (None, c.name)]
    if not chosen:
        wanted = " ".join(word for word in (kind, name, distribution and f"of {distribution}") if word)
        causes = "; ".join(str(f) for f in get_host().failures)
        raise UnknownComponentError(
            f"no {wanted or 'component'} is installed" + (f"; {causes}" if causes else ""),
            "`pip install -e .` where its pyproject.toml is; `golfreg plugins list` shows what is installed",
        )
    cases = [
        pytest.param(
            component, each, id="-".join(filter(None, (component.kind, component.op, component.name, each.name)))
        )
        for component in chosen
        for each in checks(component.kind)
    ]

    subjects: dict[tuple[str, Provider], Subject] = {}

    @pytest.mark.parametrize(("component", "component_check"), cases)
    def test_conformance(
        component: Registered, component_check: Check, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        key = component.label, component.provider
        if key not in subjects:
            argument = (arguments or {}).get(component.name) if component.kind == "corpus" else None
            subjects[key] = subject_of(component, argument, tmp_path_factory.mktemp("conformance"))
        try:
            _advised(component_check, subjects[key])
        except Unchecked as reason:
            pytest.skip(str(reason))

    return test_conformance


def _advised(each: Check, subject: Subject) -> None:
    """Run a check; a failure's message ends with what to do."""
    try:
        each.run(subject)
    except AssertionError as error:
        raise AssertionError(f"{error}\nwhat to do: {each.advice}") from error


def _outcome(each: Check, subject: Subject) -> Outcome:
    try:
        each.run(subject)
    except Unchecked as reason:
        return Outcome(each.name, True, str(reason), checked=False)
    except AssertionError as error:
        return Outcome(each.name, False, f"{error}{_place(error.__cause__, subject)}", each.advice)
    except Exception as error:
        return Outcome(each.name, False, f"{type(error).__name__}: {error}{_place(error, subject)}", each.advice)
    return Outcome(each.name, True)


def _place(error: BaseException | None, subject: Subject) -> str:
    """`` (mixer.py:49, in forward)``: the innermost line of the component's own package; empty if it has none there."""
    package = str(getattr(subject.target, "__module__", "")).partition(".")[0]
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__ if error else None):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] == package and not module.startswith("golfreg.testing"):
            found = f" ({Path(frame.f_code.co_filename).name}:{line}, in {frame.f_code.co_name})"
    return found


def refuses(call: Callable[[], object], what: str) -> None:
    """The call raises a ``GolfregError`` that a user can act on, and nothing else."""
    try:
        call()
    except GolfregError as error:
        expect(error.message.strip(), f"{what}: the error has no message")
        return
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}; expected a GolfregError") from error
    raise AssertionError(f"{what}: accepted; expected a GolfregError")


__all__ = [
    "Argument", "Check", "Outcome", "Subject", "Unchecked", "check", "check_all", "checks", "conformance",
    "expect", "iter_components", "refuses", "run_checks", "subject_of",
]  # fmt: skip
