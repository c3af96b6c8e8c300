"""GR4xx: the seeds of an entry are repetitions of one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from golfreg.config.record import RunRecord
from golfreg.rules.findings import Evidence, Level, Problem, rule


@rule("GR401", "seeds are distinct")
def distinct(evidence: Evidence) -> Iterator[Problem]:
    """One run of each seed."""
    counts = Counter(record.run.seed for record in evidence.records.values())
    for seed, count in sorted(counts.items()):
        if count > 1:
            yield Problem(f"seed {seed} is there {count} times")


@rule("GR402", "every seed has the same settings")
def one_configuration(evidence: Evidence) -> Iterator[Problem]:
    """Compared key by key, but for the seed."""
    first_where, first = next(iter(evidence.records.items()))
    for where, record in evidence.records.items():
        if {**record.settings, "seed": 0} == {**first.settings, "seed": 0}:
            continue
        expected, settings = _flat(first.settings), _flat(record.settings)
        different = [key for key in {**expected, **settings} if expected.get(key) != settings.get(key)]
        if different:
            yield Problem(f"settings differ from {first_where}: {', '.join(different[:5])}", where)


@rule("GR403", "there are as many seeds as the ruleset asks for")
def enough(evidence: Evidence) -> Iterator[Problem]:
    """Distinct ones."""
    count = len({record.run.seed for record in evidence.records.values()})
    if count < evidence.ruleset.seeds.required:
        yield Problem(f"{count} of the {evidence.ruleset.seeds.required} seeds that the ruleset asks for")


@rule("GR404", "every seed ran with the same versions and kernels")
def one_software(evidence: Evidence) -> Iterator[Problem]:
    """golfreg, components, kernels and torch."""
    first_where, first = next(iter(evidence.records.items()))
    for where, record in evidence.records.items():
        if record.run.golfreg != first.run.golfreg:
            yield Problem(f"golfreg {record.run.golfreg}; {first_where} has {first.run.golfreg}", where)
        if record.components != first.components:
            yield Problem(f"the components or their versions differ from {first_where}", where)
        if record.kernels != first.kernels and _kernels(record) != _kernels(first):
            yield Problem(f"the kernels differ from {first_where}", where)
        if record.environment.torch != first.environment.torch:
            yield Problem(
                f"torch {record.environment.torch}; {first_where} has {first.environment.torch}", where, Level.WARN
            )


@rule("GR405", "every seed made its own artifact")
def own_artifact(evidence: Evidence) -> Iterator[Problem]:
    """The same bytes under two seeds are one run handed in twice."""
    seen: dict[str, str] = {}
    for where, record in evidence.records.items():
        other = seen.setdefault(record.artifact.sha256, where)
        if other != where:
            yield Problem(f"the artifact is that of {other}", where)


@rule("GR406", "seed and ruleset are what the settings say")
def as_set(evidence: Evidence) -> Iterator[Problem]:
    """The record's head and its settings are of one run."""
    for where, record in evidence.records.items():
        for key in ("seed", "ruleset"):
            said, setting = getattr(record.run, key), record.settings.get(key)
            if said != setting:
                yield Problem(f"run.{key} says {said}; settings.{key} says {setting}", where)


def _kernels(record: RunRecord) -> dict[str, tuple[str, str, str]]:
    """What ran, without the reason: that may quote a timing."""
    return {op: (facts.kernel, facts.distribution, facts.version) for op, facts in record.kernels.items()}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key to value, without the seed."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        elif (prefix, key) != ("", "seed"):
            flat[f"{prefix}{key}"] = value
    return flat
