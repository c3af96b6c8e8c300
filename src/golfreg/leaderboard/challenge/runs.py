"""Which log is which seed's, and each seed's figures by provenance.

A folder may hold logs of experiments, of repetitions, and one run twice. A declared seed gets the
log of that seed whose score is nearest to the declared one; without declared seeds every seed that
a log names is one, and where several logs have one seed, the one nearest to the headline.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from golfreg.config.imported import Count, ImportedRun, Measure
from golfreg.leaderboard.challenge.logs import LogFacts, Metric
from golfreg.leaderboard.challenge.submission import Declared, DeclaredSeed
from golfreg.leaderboard.challenge.tolerant import agrees


@dataclass(frozen=True)
class SeedRun:
    """One seed: its figures, its log, and the score of the log that they show."""

    run: ImportedRun
    log: LogFacts | None
    metric: Metric | None


def seed_runs(declared: Declared, logs: Sequence[LogFacts]) -> list[SeedRun]:
    """Every seed of the submission, sorted. ``logs``: those of the folder, with a score or without."""
    by_seed: dict[int, list[LogFacts]] = defaultdict(list)
    for log in logs:
        if log.key is not None:
            by_seed[log.key].append(log)
    said = {one.seed: one for one in declared.seeds}
    scored = [seed for seed, each in by_seed.items() if any(log.metrics for log in each)]
    wanted = list(dict.fromkeys(declared.listed_seeds)) or scored or list(by_seed)
    if len(wanted) == 1 and wanted[0] not in by_seed:
        unnamed = [log for log in logs if log.key is None and log.metrics]
        by_seed[wanted[0]] = unnamed if len(unnamed) == 1 else []
    alone = len(wanted) == 1
    tag = "" if said or alone else headline_tag(logs, declared.bits_per_byte)
    runs = []
    for seed in sorted(wanted):
        facts = said.get(seed) or DeclaredSeed(seed=seed)
        if alone and facts.bits_per_byte is None:
            facts = replace(
                facts,
                bits_per_byte=declared.bits_per_byte,
                nats_per_token=facts.nats_per_token or declared.nats_per_token,
                total_bytes=facts.total_bytes or declared.total_bytes,
            )
        target, own = facts.bits_per_byte, by_seed.get(seed, [])
        if target is not None and not _has(own, target):
            # Perhaps another log has that very score, whatever seed it says.
            others = [log for log in logs if log.key not in wanted and _has([log], target)]
            own = others if len(others) == 1 else own
        runs.append(_one(facts, own, target, tag))
    return runs


def headline_tag(logs: Sequence[LogFacts], headline: float | None) -> str:
    """The kind of score that the headline is, where a log has it but does not end with it; else empty."""
    if headline is None or any(log.metrics and agrees(headline, log.metrics[-1].bits_per_byte) for log in logs):
        return ""
    fitting = [m.tag for log in logs for m in log.metrics[:-1] if agrees(headline, m.bits_per_byte)]
    return fitting[0] if fitting else ""


def _has(logs: Sequence[LogFacts], score: float) -> bool:
    return any(agrees(score, metric.bits_per_byte) for log in logs for metric in log.metrics)


def pick(log: LogFacts, target: float | None, tag: str = "") -> Metric | None:
    """The score of a log: the one that agrees with what is declared, else the last one (of ``tag``, if it has it)."""
    if not log.metrics:
        return None
    tagged = [metric for metric in log.metrics if metric.tag == tag]
    if target is None and tagged:
        return tagged[-1]
    if target is not None:
        fitting = [metric for metric in log.metrics if agrees(target, metric.bits_per_byte)]
        if fitting:
            return fitting[-1]
    return log.metrics[-1]


def choose(logs: Sequence[LogFacts], target: float | None) -> LogFacts | None:
    """The log of one seed: scored, nearest to the declared score, named by the seed, in the folder itself."""

    def rank(log: LogFacts) -> tuple[float, bool, bool, str]:
        metric = pick(log, target)
        distance = abs(metric.bits_per_byte - target) if metric and target is not None else 0.0
        # Logs print four places or eight: nearer than that is the same.
        return (0.0 if distance <= 1e-4 else distance, log.name_seed is None, "/" in log.name, log.name)

    scored = [log for log in logs if log.metrics]
    return min(scored or logs, key=rank, default=None)


def _one(said: DeclaredSeed, logs: Sequence[LogFacts], target: float | None, tag: str) -> SeedRun:
    log = choose(logs, target)
    metric = pick(log, target, tag) if log is not None else None
    shown = log
    if log is not None and log.train_seconds is None and log.total_bytes is None:
        # The score of an artifact that another log of the seed trained.
        trained = choose([one for one in logs if one.train_seconds is not None and one.total_bytes], target)
        if trained is not None:
            shown = replace(trained, score_total_seconds=log.score_total_seconds, metrics=log.metrics)
    facts = shown or LogFacts(name="")
    alone = facts.score_total_seconds if facts.score_total_seconds is not None else (metric and metric.seconds)
    run = ImportedRun(
        seed=said.seed,
        log=log.name[:300] if log is not None else "",
        bits_per_byte=Measure(declared=said.bits_per_byte, log=metric.bits_per_byte if metric else None),
        nats_per_token=Measure(declared=said.nats_per_token, log=metric.nats_per_token if metric else None),
        total_bytes=Count(declared=said.total_bytes, log=facts.total_bytes),
        model_bytes=Count(log=facts.model_bytes),
        code_bytes=Count(log=facts.code_bytes),
        train_seconds=Measure(declared=said.train_seconds, log=facts.train_seconds),
        calibrate_seconds=Measure(log=facts.calibrate_seconds),
        score_seconds=Measure(declared=said.score_seconds, log=alone or None, recomputed=facts.passes_seconds),
        steps=Count(declared=said.steps, log=facts.steps),
        milliseconds_per_step=Measure(declared=said.milliseconds_per_step, log=facts.milliseconds_per_step),
        parameters=Count(log=facts.parameters),
    )
    return SeedRun(run, log, metric)
