"""What ``docs/historic_records.md`` says of the shipped historic tracks is what the rules find in them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from golfreg.api import InputError
from golfreg.leaderboard.reading import read_board
from golfreg.leaderboard.significance import compare, find_entry

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "historic_records.md").read_text("utf-8")
ENTRIES = [entry for entry in read_board(ROOT / "leaderboard").entries if entry.imported is not None]


def test_the_counts_by_code_are_those_of_the_shipped_entries():
    counts = Counter()
    for entry in ENTRIES:
        counts.update({(f.code, str(f.level)) for f in entry.findings() if f.level != "PASS"})
    said = re.findall(r"^\| (GR6\d\d) \| .+ \| (\d+) \| (\d+) \|$", DOCS, re.MULTILINE)
    assert {code: (int(fails), int(warns)) for code, fails, warns in said} == {
        code: (counts[code, "FAIL"], counts[code, "WARN"]) for code in {code for code, _ in counts}
    }
    failing = sum(any(f.level == "FAIL" for f in entry.findings()) for entry in ENTRIES)
    assert f"{failing} of {len(ENTRIES)} entries have a FAIL" in DOCS


def test_every_shipped_entry_has_its_row():
    rows = re.findall(r"^\| (?:non-record: )?(\d{4}-\d\d-\d\d_[a-z0-9-]+) \|", DOCS, re.MULTILINE)
    assert sorted(rows) == sorted(entry.key.partition("/")[2] for entry in ENTRIES)


def test_the_disagreements_that_were_checked_by_hand_are_found():
    """By pull request: what its own files contradict, checked against the logs."""
    found = {
        entry.imported.source.pull_request: {f.code for f in entry.findings() if f.level != "PASS"} for entry in ENTRIES
    }
    checked = {
        49: "GR632", 63: "GR632", 287: "GR632", 414: "GR632", 640: "GR632", 86: "GR642", 180: "GR602", 1412: "GR611",
        542: "GR611", 1334: "GR645", 1667: "GR613", 1514: "GR612", 1530: "GR612", 73: "GR603", 2058: "GR636",
        1337: "GR632", 1729: "GR644", 1371: "GR644", 1787: "GR621", 39: "GR614", 60: "GR623", 1945: "GR636",
    }  # fmt: skip
    assert {pull for pull, code in checked.items() if code not in found[pull]} == set()


def test_the_p_values_that_pull_requests_reported_are_recomputed_from_the_imported_seeds():
    page = (ROOT / "docs" / "significance.md").read_text("utf-8")
    rows = re.findall(r"^\| (#\d+) \| (#\d+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for candidate, record, t, df, p, reported in rows:
        entries = [find_entry(ROOT / "leaderboard", said) for said in (candidate, record)]
        _, verdict = compare(*entries, "parameter-golf-frontier")
        assert (f"{verdict.t:.3f}", f"{verdict.df:.2f}", f"{verdict.p:.4f}") == (t, df, p)
        assert f"{verdict.p:.3f}" == reported
    with pytest.raises(InputError, match="has no entry `#1`"):
        find_entry(ROOT / "leaderboard", "#1")
