"""``submission.json`` and its many variants: what a submission says of itself.

Every public spelling of a figure is known (``ALIASES``); what has the wrong type, is missing or
cannot be read is an oddity, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from golfreg.api.errors import InputError
from golfreg.config.strict import shown
from golfreg.leaderboard.challenge import tolerant

SCORE = ("val_bpb", "mean_val_bpb", "mean_bpb", "val_bpb_mean", "val_var_bpb")
ALIASES = {
    "bits_per_byte": SCORE,
    "bits_per_byte_std": ("val_bpb_std", "std_bpb", "std_val_bpb"),
    "nats_per_token": ("val_loss", "mean_val_loss", "mean_val_loss_nats", "val_loss_sliding", "val_loss_nats"),
    "total_bytes": (
        "bytes_total", "artifact_bytes_max", "artifact_bytes", "artifact_bytes_mean", "artifact_size_bytes",
        "total_bytes",
    ),
    "code_bytes": ("bytes_code", "code_bytes", "wrapped_code_bytes"),
    "model_bytes": (
        "bytes_model", "bytes_model_int8_zlib", "bytes_model_int6_zstd", "bytes_model_int6_lzma",
        "bytes_model_compressed", "model_bytes",
    ),
    "train_seconds": ("train_time_s", "train_time_seconds", "wallclock_seconds", "train_time_s_mean"),
    "score_seconds": ("eval_time_s", "eval_time_seconds", "ttt_eval_time_s", "eval_time_s_mean"),
    "steps": ("steps", "step_stop", "train_steps"),
    "milliseconds_per_step": ("step_avg_ms", "ms_per_step"),
}  # fmt: skip
MILLISECONDS = {
    "train_seconds": ("train_time_ms", "train_wallclock_ms"),
    "score_seconds": ("eval_time_ms", "ttt_time_ms"),
}
SEED_TABLES = ("seed_results", "seeds", "results", "per_seed")
SEED_LISTS = ("seed_scores", "val_bpb_seeds")
MAX_SEEDS = 100
MAX_ODDITIES = 50
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SEED_KEY = re.compile(r"(?:seed[_-]?)?(\d{1,18})", re.IGNORECASE)
_PULL = re.compile(r"(?:\bPR\s*#?|#)(\d{1,6})\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class DeclaredSeed:
    """One seed's figures; None: not said."""

    seed: int
    bits_per_byte: float | None = None
    nats_per_token: float | None = None
    total_bytes: int | None = None
    train_seconds: float | None = None
    score_seconds: float | None = None
    steps: int | None = None
    milliseconds_per_step: float | None = None


@dataclass(frozen=True, kw_only=True)
class Declared:
    """``day``: ISO, or empty. ``listed_seeds``: named, with figures or without. ``based_on``: pull requests.

    ``mean_total``: the total is said to be a mean.
    """

    author: str = ""
    github: str = ""
    title: str = ""
    day: str = ""
    track: str = ""
    hardware: str = ""
    tokenizer: str = ""
    support: bool = False
    bits_per_byte: float | None = None
    bits_per_byte_std: float | None = None
    nats_per_token: float | None = None
    total_bytes: int | None = None
    code_bytes: int | None = None
    model_bytes: int | None = None
    train_seconds: float | None = None
    score_seconds: float | None = None
    mean_total: bool = False
    seeds: tuple[DeclaredSeed, ...] = ()
    listed_seeds: tuple[int, ...] = ()
    based_on: tuple[int, ...] = ()
    oddities: tuple[str, ...] = ()


def read_submission(data: bytes) -> Declared:
    """What the file says. InputError only where it holds no JSON object at all."""
    value, odd = tolerant.parse_json(data)
    return declared_of(value, odd)


def declared_of(value: Any, odd: Iterable[str] = ()) -> Declared:
    """What a parsed object says. InputError if it is none."""
    if not isinstance(value, dict):
        raise InputError(f"holds {'a list' if isinstance(value, list) else 'a value'}, not an object")
    reader = _Reader(list(odd))
    author = value.get("author")
    if isinstance(author, dict):
        reader.note("`author` is an object")
        value = {"github_id": author.get("github_id") or author.get("github"), **value, "author": author.get("name")}
    listed, seeds = _seeds(value, reader)
    said = Declared(
        author=reader.text(value, ("author",), "author"),
        github=reader.text(value, ("github_id", "github"), "github_id"),
        title=reader.text(value, ("name", "run_name", "title", "submission_name"), "name"),
        day=_day(value.get("date"), reader),
        track=reader.text(value, ("track",), ""),
        hardware=reader.text(value, ("hardware", "platform", "gpu"), ""),
        tokenizer=reader.text(value, ("tokenizer",), ""),
        support="support" in str(value.get("submission_type", ""))[:80],
        bits_per_byte=reader.figure(value, "bits_per_byte"),
        bits_per_byte_std=reader.figure(value, "bits_per_byte_std"),
        nats_per_token=reader.figure(value, "nats_per_token"),
        total_bytes=reader.count(value, "total_bytes"),
        code_bytes=reader.count(value, "code_bytes"),
        model_bytes=reader.count(value, "model_bytes"),
        train_seconds=reader.figure(value, "train_seconds", quiet=True),
        score_seconds=reader.figure(value, "score_seconds", quiet=True),
        mean_total=not {"bytes_total", "artifact_bytes_max", "artifact_bytes"} & value.keys(),
        seeds=seeds,
        listed_seeds=listed,
        based_on=_based_on(value),
        oddities=(),
    )
    if said.bits_per_byte is None:
        reader.note("has no score: no number under `val_bpb`")
    return Declared(**{**said.__dict__, "oddities": tuple(reader.odd[:MAX_ODDITIES])})


class _Reader:
    """Collects what is odd."""

    def __init__(self, odd: list[str]) -> None:
        self.odd = odd

    def note(self, message: str) -> None:
        if message not in self.odd:
            self.odd.append(message)

    def text(self, table: dict[str, Any], names: tuple[str, ...], required: str) -> str:
        """The first of these keys that holds text. ``required``: the name to miss; empty: nobody misses it."""
        for name in names:
            if table.get(name) is not None:
                kept, odd = tolerant.text(table[name])
                if odd and (required or kept):
                    self.note(f"`{name}` {odd}")
                if kept:
                    return kept
        if required:
            self.note(f"has no `{required}`")
        return ""

    def figure(self, table: dict[str, Any], figure: str, where: str = "", quiet: bool = False) -> float | None:
        """The first alias that holds a number; ``quiet``: nothing is odd about it."""
        for scale, names in ((1.0, ALIASES[figure]), (1e-3, MILLISECONDS.get(figure, ()))):
            for name in names:
                if name not in table:
                    continue
                found, odd = tolerant.number(table[name])
                if odd and not quiet:
                    self.note(f"`{where}{name}` {odd}")
                if found is not None:
                    return found * scale
        return None

    def count(self, table: dict[str, Any], figure: str, where: str = "", quiet: bool = False) -> int | None:
        """A whole number; a fraction (a mean) is rounded."""
        found = self.figure(table, figure, where, quiet)
        return None if found is None else round(found)


def _seeds(value: dict[str, Any], reader: _Reader) -> tuple[tuple[int, ...], tuple[DeclaredSeed, ...]]:
    """Seeds that are named, and those with figures."""
    tables: dict[int, Any] = {}
    listed: list[int] = []
    for key in SEED_TABLES:
        found = value.get(key)
        if isinstance(found, dict):
            items: Iterable[tuple[Any, Any]] = found.items()
        elif isinstance(found, list) and any(isinstance(one, dict) for one in found):
            items = [(one.get("seed"), one) for one in found if isinstance(one, dict)]
        else:
            continue
        for name, facts in items:
            seed = _seed(name)
            if seed is None:
                if key != "results":
                    reader.note(f"`{key}` names the seed {shown(ascii(name), 40)}")
            elif seed in tables and key == "seeds" and isinstance(found, list):
                reader.note(f"`{key}` has seed {seed} twice")
                listed.append(seed)
            else:
                tables.setdefault(seed, facts)
    plain = value.get("seeds") if isinstance(value.get("seeds"), list) else [value.get("seeds", value.get("seed"))]
    numbers = [seed for seed in map(_seed, plain or []) if seed is not None]
    for key in SEED_LISTS:
        scores = value.get(key)
        if isinstance(scores, list) and len(scores) == len(numbers):
            for seed, score in zip(numbers, scores, strict=True):
                tables.setdefault(seed, {"val_bpb": score})
    for name, facts in value.items():
        match = re.fullmatch(r"seed_(\d{1,18})", name)
        if match and isinstance(facts, dict | int | float | str):
            tables.setdefault(int(match[1]), facts)
    listed += numbers + [seed for seed in tables if seed not in numbers]
    if len(listed) > MAX_SEEDS:
        reader.note(f"names {len(listed):,} seeds: the first {MAX_SEEDS} are read")
        listed = listed[:MAX_SEEDS]
    return tuple(listed), tuple(_one_seed(s, tables[s], reader) for s in tables if s in listed)


def _one_seed(seed: int, facts: Any, reader: _Reader) -> DeclaredSeed:
    where = f"seed {seed}: "
    if not isinstance(facts, dict):
        facts = {"val_bpb": facts}
    return DeclaredSeed(
        seed=seed,
        bits_per_byte=reader.figure(facts, "bits_per_byte", where),
        nats_per_token=reader.figure(facts, "nats_per_token", where),
        total_bytes=reader.count(facts, "total_bytes", where),
        train_seconds=reader.figure(facts, "train_seconds", where),
        score_seconds=reader.figure(facts, "score_seconds", where),
        steps=reader.count(facts, "steps", where),
        milliseconds_per_step=reader.figure(facts, "milliseconds_per_step", where),
    )


def _seed(name: Any) -> int | None:
    if isinstance(name, int) and not isinstance(name, bool):
        return name if 0 <= name < 10**18 else None
    match = _SEED_KEY.fullmatch(name) if isinstance(name, str) and len(name) < 40 else None
    return int(match[1]) if match else None


def _day(value: Any, reader: _Reader) -> str:
    if value is None or value == "":
        reader.note("has no `date`")
        return ""
    day = value[:10] if isinstance(value, str) else ""
    try:
        if _DAY.fullmatch(day):
            return date.fromisoformat(day).isoformat()
    except ValueError:
        pass
    reader.note(f"`date` is {shown(ascii(value), 40)}, not a day as in 2026-04-30")
    return ""


def _based_on(value: dict[str, Any]) -> tuple[int, ...]:
    """Numbers of the pull requests that it says it builds on."""
    found: list[int] = []
    for key in ("base_pr", "implementation_lineage_pr", "supports_pr", "based_on", "base_submission"):
        said = value.get(key)
        if isinstance(said, int) and not isinstance(said, bool) and 0 < said < 10**6:
            found.append(said)
        elif isinstance(said, str):
            found += [int(one) for one in _PULL.findall(said[:500])]
    attribution = value.get("attribution")
    if isinstance(attribution, dict) and not found:
        for name, said in attribution.items():
            if "base" in name.lower() and isinstance(said, str):
                found += [int(one) for one in re.findall(r"pr(\d{1,6})", name.lower()) or _PULL.findall(said[:500])]
    return tuple(dict.fromkeys(found))[:20]
