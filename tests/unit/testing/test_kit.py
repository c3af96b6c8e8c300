"""The ways to run the kit: over what is installed, as pytest tests, as outcomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from golfreg.api import KINDS, ConfigError, UnknownComponentError
from golfreg.registry.host import get_host
from golfreg.testing import checks, conformance, iter_components, kit, run_checks
from golfreg.testing.kit import Check, Subject, refuses

MINIATURES = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def _miniatures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("works", "absent_target"):
        monkeypatch.syspath_prepend(MINIATURES / name)
    get_host.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_host_after():  # type: ignore[no-untyped-def]
    yield
    get_host.cache_clear()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_checks_with_names_of_their_own(kind: str) -> None:
    names = [each.name for each in checks(kind)]
    assert len(names) >= 5
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_check_says_what_to_do_where_it_fails(kind: str) -> None:
    advice = [each.advice for each in checks(kind)]
    assert all(len(text) > 20 for text in advice)
    assert len(set(advice)) == len(advice)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError):
        checks("codecs")


@pytest.mark.usefixtures("_miniatures")
def test_components_are_chosen_by_kind_and_distribution() -> None:
    assert {c.kind for c in iter_components("codec")} == {"codec"}
    assert [c.name for c in iter_components(distribution="golfreg-works")] == ["works"]


@pytest.mark.usefixtures("_miniatures")
def test_an_installed_codec_gets_one_outcome_for_each_check() -> None:
    (component,) = iter_components(distribution="golfreg-works")
    outcomes = run_checks(component)
    assert [o for o in outcomes if not o.passed] == []
    assert len(outcomes) == len(checks("codec"))


@pytest.mark.usefixtures("_miniatures")
def test_a_component_that_cannot_be_imported_fails_one_check() -> None:
    for component in iter_components(distribution="golfreg-absent-target"):
        (outcome,) = run_checks(component)
        assert (outcome.check, outcome.passed) == ("loads", False)
        assert "golfreg-absent-target 1.12" in outcome.reason


def test_choosing_nothing_is_an_error_and_not_an_empty_test() -> None:
    with pytest.raises(UnknownComponentError, match="no codec zstd of golfreg-zstd is installed"):
        conformance("codec", "zstd", distribution="golfreg-zstd")


def test_a_failure_comes_with_what_to_do() -> None:
    (component,) = (c for c in iter_components("corpus") if c.name == "jsonl")
    outcomes = {o.check: o for o in run_checks(component, argument="nothing/here.jsonl")}
    failed = outcomes["loading_twice_gives_the_same"]
    assert not failed.passed
    assert "nothing/here.jsonl" in failed.reason
    assert "sort the files" in failed.advice


def test_what_had_nothing_to_look_at_is_not_said_to_be_checked() -> None:
    (component,) = (c for c in iter_components("corpus") if c.name == "jsonl")
    outcomes = {o.check: o for o in run_checks(component)}
    assert outcomes["a_missing_or_odd_argument_is_refused"].checked
    unchecked = outcomes.pop("loading_twice_gives_the_same")
    assert (unchecked.passed, unchecked.checked) == (True, False)
    assert "was given none" in unchecked.reason


def test_a_plugin_tests_itself_in_three_lines(tmp_path: Path) -> None:
    (tmp_path / "test_plugin.py").write_text(
        'from golfreg.testing import conformance\n\ntest_conformance = conformance(distribution="golfreg-works")\n'
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=_environment("works"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(checks('codec'))} passed" in done.stdout


def _environment(*names: str) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(MINIATURES / name) for name in names)}


def test_importing_the_kit_imports_no_torch() -> None:
    code = "import sys, golfreg.testing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_exception_in_a_component_is_reported_with_its_line_there() -> None:
    class Careless:
        def forward(self) -> float:
            return 1 / 0

    def direct(subject: Subject) -> None:
        subject.target.forward()

    def refused(subject: Subject) -> None:
        refuses(subject.target.forward, "an odd input")

    for run, told in ((direct, "ZeroDivisionError: "), (refused, "an odd input: raised ZeroDivisionError: ")):
        outcome = kit._outcome(Check("codec", "a_claim", "what to do", run), Subject(Careless(), None))
        assert not outcome.passed
        assert outcome.reason.startswith(told)
        line = Careless.forward.__code__.co_firstlineno + 1
        assert outcome.reason.endswith(f" (test_kit.py:{line}, in forward)")
