"""Mutated records and entries: a valid value or a GolfregError, never another exception, never a hang.

The tests run a few thousand; ``python tests/unit/leaderboard/test_fuzz_records.py 10000`` runs as
many as it is told and prints what came of them.
"""

import copy
import random
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field

import pytest
import tomli_w

from golfreg.api import GolfregError
from golfreg.config.record import parse_record, record_to_toml
from golfreg.leaderboard.entries import EntryFacts, entry_to_toml, parse_entry
from golfreg.leaderboard.render import escape, score_text
from golfreg.rules.figures import recompute
from golfreg.rules.findings import check_records
from golfreg.rules.ruleset import load_ruleset
from golfreg.testing.records import example_record

RULESET = load_ruleset("cpu-smoke")
SLOWEST_SECONDS = 10.0


@dataclass
class Report:
    """``accepted``: mutants that are still valid; ``rejected``: by a GolfregError."""

    accepted: int = 0
    rejected: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    by_mutation: Counter = field(default_factory=Counter)


def entry_text():
    records = [example_record(seed, bits_per_byte=1.2 + seed / 100) for seed in (1, 2, 3)]
    facts = EntryFacts(
        name="mine", author="A. Uthor", track="cpu-smoke", ruleset="cpu-smoke", date="2026-05-02", status="claimed",
        based_on=("cpu-smoke/2026-05-01_first",), techniques=("ema",), declared=recompute(records),
    )  # fmt: skip
    return entry_to_toml(facts)


def use_record(text):
    """All that is done with a record of a stranger: read, check, write, show."""
    record = parse_record(text, "record")
    records = {"a": record, "b": example_record(2)}
    figures = recompute(list(records.values()))
    findings = check_records(records, RULESET, figures)
    assert score_text(figures.bits_per_byte_mean, figures.bits_per_byte_std).isprintable()
    assert parse_record(record_to_toml(record), "again") == record
    for finding in findings:
        assert finding.message.isprintable()
        escape(finding.message)


def use_entry(text):
    facts = parse_entry(text, "entry")
    assert parse_entry(entry_to_toml(facts), "again") == facts
    check_records({"r": example_record()}, RULESET, facts.declared, facts.date)


def fuzz(count, seed=0):
    """Run ``count`` mutants, half of them records and half entries."""
    rng = random.Random(seed)
    report = Report()
    targets = [(record_to_toml(example_record()), use_record), (entry_text(), use_entry)]
    for number in range(count):
        text, use = targets[number % 2]
        mutate = rng.choice(MUTATIONS)
        mutant = mutate(rng, text)
        start = time.process_time()
        try:
            try:
                use(mutant.decode("utf-8") if isinstance(mutant, bytes) else mutant)
                report.accepted += 1
            except UnicodeDecodeError:
                report.rejected += 1
        except GolfregError as error:
            report.rejected += 1
            if not f"{error.message}{error.hint}".isprintable() or len(error.message) > 1_000:
                report.failures.append(f"{number} {mutate.__name__}: unreadable message {error.message[:200]!a}")
        except Exception as error:
            report.failures.append(f"{number} {mutate.__name__}: {type(error).__name__}: {error!s:.200}")
        report.slowest_seconds = max(report.slowest_seconds, time.process_time() - start)
        report.by_mutation[mutate.__name__] += 1
    return report


def flip_bits(rng, text):
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(rng, text):
    data = text.encode()
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[end:] if rng.random() < 0.5 else data[start:end]


def insert_text(rng, text):
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(TEXTS) * rng.choice((1, 1, 3, 1000)) + text[place:]


def swap_lines(rng, text):
    lines = text.split("\n")
    for _ in range(rng.choice((1, 3, 20))):
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def repeat_lines(rng, text):
    lines = text.split("\n")
    start = rng.randrange(len(lines))
    return "\n".join(lines[: start + rng.randrange(1, 9)] + lines[start:])


def replace_value(rng, text):
    table = tomllib.loads(text)
    for _ in range(rng.choice((1, 1, 1, 4))):
        parent, key = rng.choice(list(places(table)))
        parent[key] = copy.deepcopy(rng.choice(VALUES))
    return tomli_w.dumps(table)


def remove_key(rng, text):
    table = tomllib.loads(text)
    for _ in range(rng.choice((1, 1, 5))):
        parent, key = rng.choice(list(places(table)))
        del parent[key]
    return tomli_w.dumps(table)


def rename_key(rng, text):
    table = tomllib.loads(text)
    parent, key = rng.choice(list(places(table)))
    new = rng.choice(("", key + "s", key[:-1], key.upper(), "\x1b[2J", "a.b", "__class__", "é" * 99, "k" * 5000))
    parent[new] = parent.pop(key)
    return tomli_w.dumps(table)


def swap_values(rng, text):
    table = tomllib.loads(text)
    for _ in range(rng.choice((1, 3))):
        spots = list(places(table))
        (one, a), (other, b) = rng.choice(spots), rng.choice(spots)
        one[a], other[b] = copy.deepcopy(other[b]), copy.deepcopy(one[a])
    return tomli_w.dumps(table)


def nudge_number(rng, text):
    table = tomllib.loads(text)
    spots = [(p, k) for p, k in places(table) if isinstance(p[k], int | float)]
    parent, key = rng.choice(spots)
    parent[key] = rng.choice((parent[key] + 1, -parent[key], parent[key] * 2, 0, parent[key] * 10**30))
    return tomli_w.dumps(table)


def nest_deeply(rng, text):
    depth = rng.choice((3, 50, 1500, 4000))
    bracket = rng.choice(("[", "{a=", "a."))
    return (
        rng.choice((text + "\nx = ", "x = "))
        + bracket * depth
        + "1"
        + {"[": "]", "{a=": "}", "a.": ""}[bracket] * depth
    )


def dotted_keys(rng, text):
    parts = rng.choice((5, 90, 101, 2000))
    return text + "\n[settings.x]\n" + "".join(f"k{i}{'.a' * parts} = 1\n" for i in range(rng.choice((1, 20, 400))))


def many_facts(rng, text):
    return text + "\n[more]\n" + "".join(f"k{i} = {i}\n" for i in range(rng.choice((10, 3000))))


def places(table):
    """(parent, key) of every value, tables included."""
    for key, value in list(table.items()):
        yield table, key
        if isinstance(value, dict):
            yield from places(value)


VALUES = [
    "", "x", "[red]x[/red]", "<script>", "\x1b[31m", "\u202e", "\u2028", "a\nb", "../../etc/passwd", "x" * 4000,
    "0" * 64, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**300, 0.0, -0.0, 1e308, 5e-324, float("nan"),
    float("inf"), float("-inf"), True, False, [], [1, "a", []], [[[[]]]], {}, {"a": {"b": {"c": 1}}}, [{"a": 1}],
    "2026-05-01T12:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "fixed", "sliding:0", "999999999.0.0",
]  # fmt: skip
TEXTS = [
    "\x00", "\ufeff", "\r", "\r\n", "\n", '"', "'''", '"""', "[", "]", "[[x]]\n", "{", "=", "a = 1\n", "schema = 1\n",
    "#", "nan", "1e999", "0x" + "f" * 900, "9" * 4000, "1979-05-27", "\\uD800", "\\U0010FFFF", "\u0085", "𝟙", ".", "a.",
]  # fmt: skip
MUTATIONS = [
    flip_bits, cut, insert_text, swap_lines, repeat_lines, replace_value, replace_value, remove_key, rename_key,
    swap_values, nudge_number, nest_deeply, dotted_keys, many_facts,
]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_records_and_entries_are_rejected_or_valid(seed):
    report = fuzz(1_000, seed)
    assert report.failures == []
    assert report.slowest_seconds < SLOWEST_SECONDS
    assert report.accepted > 50
    assert report.rejected > 500
    assert set(report.by_mutation) == {mutate.__name__ for mutate in MUTATIONS}


@pytest.mark.parametrize("use", [use_record, use_entry])
def test_the_worst_that_a_file_of_legal_size_can_do_is_quick(use):
    """Keys of as many parts as a line may have, on as many lines as the file may have."""
    text = record_to_toml(example_record()) if use is use_record else entry_text()
    room = (256 if use is use_record else 64) * 1024 - len(text) - 50
    lines = "".join(f"k{i:04}{'.a' * 100} = 1\n" for i in range(room // 212))
    start = time.process_time()
    with pytest.raises(GolfregError):
        use(f"{text}\n[x]\n{lines}")
    assert time.process_time() - start < SLOWEST_SECONDS


if __name__ == "__main__":
    began = time.perf_counter()
    result = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"{result.accepted} accepted, {result.rejected} rejected, {len(result.failures)} failures")
    print(f"slowest {result.slowest_seconds:.3f} s, all {time.perf_counter() - began:.1f} s")
    print(*result.failures[:20], sep="\n")
    sys.exit(bool(result.failures))
