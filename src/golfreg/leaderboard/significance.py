"""Compares two entries under a ruleset: finds them, tests them, and gives the outcome as plain values."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from golfreg.api.errors import InputError, nearest
from golfreg.config import strict
from golfreg.leaderboard.claims import claim_of
from golfreg.leaderboard.entries import ENTRY_DIRECTORY, Entry
from golfreg.leaderboard.reading import read_entry
from golfreg.rules.frontier import verdict_between
from golfreg.rules.ruleset import Ruleset, RuleSignificance, list_rulesets, load_ruleset
from golfreg.rules.significance import Sample, Verdict


def find_entry(root: Path, said: str) -> Entry:
    """By its directory, its key ``track/date_name``, its name or ``#pull_request``. InputError unless one has it."""
    if "\0" not in said and (Path(said) / "entry.toml").is_file():
        return read_entry(Path(said))
    keys = _keys(root)
    if said[:1] == "#":
        found = [key for key in keys if _pull_request(root / key) == said]
    else:
        found = [key for key in keys if said in (key, key.split("/")[1], key.split("_", 1)[1])]
    if len(found) > 1:
        raise InputError(f"`{strict.shown(said)}` could be {', '.join(found[:5])}", "give it as `track/date_name`")
    if not found:
        hint = nearest(said, [key.split("_", 1)[1] for key in keys], "entries")
        if len(hint) > 200:
            hint = "`golfreg leaderboard show --columns entry` lists them; an import is also `#` and its pull request"
        raise InputError(f"the leaderboard at `{root}` has no entry `{strict.shown(said)}`", hint)
    return read_entry(root / found[0])


def _pull_request(directory: Path) -> str:
    """As in #1514, of an entry that was imported from one; else empty."""
    if not (directory / "imported.toml").exists():
        return ""
    try:
        imported = read_entry(directory).imported
    except InputError:
        return ""
    return f"#{imported.source.pull_request}" if imported else ""


def rule_of(ruleset: Ruleset) -> RuleSignificance:
    """The ruleset's test. InputError if it has none."""
    if ruleset.significance is None:
        others = [name for name in list_rulesets() if load_ruleset(name).significance]
        raise InputError(f"ruleset `{ruleset.name}` has no test of significance", f"`--ruleset` {', '.join(others)}")
    return ruleset.significance


def default_ruleset(track: str) -> Ruleset:
    """The ruleset that has the track's name, or its only one. InputError if there is neither."""
    names = list_rulesets(track)
    if track in names or len(names) == 1:
        return load_ruleset(track if track in names else names[0])
    raise InputError(
        f"no ruleset is named for the track `{strict.shown(track)}`",
        f"`--ruleset` {', '.join(names)}" if names else "`golfreg leaderboard rules` lists the rulesets of each track",
    )


def compare(candidate: Entry, record: Entry, ruleset: str | None = None) -> tuple[Ruleset, Verdict]:
    """The verdict under the candidate's ruleset, or another of the same track."""
    if candidate.facts.track != record.facts.track:
        raise InputError(
            f"{candidate.key} is of track `{candidate.facts.track}`, {record.key} of `{record.facts.track}`",
            "scores compare within a track",
        )
    rules = load_ruleset(ruleset) if ruleset else candidate.ruleset
    if rules.track != candidate.facts.track:
        raise InputError(
            f"ruleset `{rules.name}` is of track `{rules.track}`, the entries are of `{candidate.facts.track}`",
            f"rulesets of this track: {', '.join(list_rulesets(candidate.facts.track))}",
        )
    rule = rule_of(rules)
    return rules, verdict_between(claim_of(candidate, rules), claim_of(record, rules), rule)


def verdict_values(verdict: Verdict) -> dict[str, Any]:
    """Everything, in full precision; None for what cannot be computed."""
    values = asdict(verdict)
    for name in ("candidate", "record"):
        values[name] = sample_values(getattr(verdict, name))
    return {**values, "sentence": verdict.sentence()}


def sample_values(sample: Sample) -> dict[str, Any]:
    """Scores in bits per byte, with their mean, sample standard deviation and conversion to nats per token."""
    return {
        "scores": list(sample.scores),
        "mean": sample.mean,
        "std": sample.std,
        "nats_per_token_for_one_bit_per_byte": sample.nats_per_bit,
    }


def _keys(root: Path) -> list[str]:
    if not root.is_dir():
        raise InputError(f"there is no leaderboard at `{root}`", "`--root DIR` names another")
    tracks = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(
        f"{track.name}/{path.name}"
        for track in tracks
        for path in track.iterdir()
        if ENTRY_DIRECTORY.fullmatch(path.name)
    )
