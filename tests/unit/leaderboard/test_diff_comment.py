from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from golfreg.leaderboard.diff import Change, Difference, Moved
from golfreg.leaderboard.diff_comment import MARKER, MAX_CHARACTERS, code, comment
from golfreg.leaderboard.diff_render import all_findings, summary, values
from golfreg.rules.findings import Finding, Level

NOTHING = Difference("a" * 40, "b" * 40, False, False, [], [], [], False)
ANY_TEXT = st.text(st.characters() | st.sampled_from("`|\\@<>[]()!#*_~\n\r&;: "), max_size=60)


def finding(message, where="", level=Level.FAIL):
    return Finding("GR804", level, message, where)


def test_a_change_of_nothing_is_said_in_one_line():
    text = comment(NOTHING)
    assert text.startswith(f"{MARKER}\n\n## Leaderboard: every rule is kept\n\nentries: none; 0 FAIL, 0 WARN;")
    assert "|" not in text


@given(ANY_TEXT)
@settings(max_examples=150, deadline=None)
def test_whatever_the_text_its_cell_is_one_code_span(text):
    row = f"| {code('a')} | {code(text)} | {code(text)} |"
    tokens = MarkdownIt("commonmark").enable("table").parse(f"| a | b | c |\n|---|---|---|\n{row}\n")
    cells = [token for token in tokens if token.type == "inline"][3:]
    assert len(cells) == 3
    for cell in cells:
        assert [child.type for child in cell.children] in (["code_inline"], ["text"])
        assert cell.children[0].type == "code_inline" or cell.content == "-"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "`a¦b`"),
        ("a`b", "`a'b`"),
        ("a\\", "`a⧵`"),
        ("a\nb", "`a⧵u000ab`"),
        ("  ", "-"),
        ("\u202eabc", "`⧵u202eabc`"),
        ("x" * 200, f"`{'x' * 119}…`"),
    ],
)
def test_what_could_end_a_cell_or_turn_text_is_shown_as_another_character(text, shown):
    assert code(text) == shown


@pytest.mark.parametrize("letter", ["x", "\U0001f40d", "`"])
def test_a_comment_of_many_findings_is_cut_to_what_github_takes(letter):
    findings = [finding(letter * 1_000, f"file_{number}") for number in range(5_000)]
    changes = [Change(f"track/2026-05-02_{n}", "deleted", None, None, []) for n in range(2_000)]
    moved = [Moved(f"track/2026-05-01_{n}", n + 2, n + 1) for n in range(3_000)]
    text = comment(replace(NOTHING, changes=changes, findings=findings, moved=moved, failed=True))
    assert 10_000 < len(text.encode("utf-16-le")) // 2 <= MAX_CHARACTERS
    assert "more findings: `golfreg leaderboard diff --json` shows all." in text
    assert "… and 2990 more entries: `golfreg leaderboard diff --json` shows all." in text
    assert "entries: 2000 deleted; 5000 FAIL, 0 WARN" in text
    assert text.rstrip().endswith("docs/pull_requests.md.")


def test_failures_come_first_and_say_which_entry_they_are_of():
    change = Change(
        "t/2026-05-02_x", "new", None, None, [finding("b", "runs/seed_1.toml", Level.WARN), finding("a", "entry.toml")]
    )
    difference = replace(NOTHING, changes=[change], findings=[finding("c", "code.py")], failed=True)
    assert [(f.level.value, f.where) for f in all_findings(difference)] == [
        ("FAIL", "code.py"),
        ("FAIL", "t/2026-05-02_x/entry.toml"),
        ("WARN", "t/2026-05-02_x/runs/seed_1.toml"),
    ]
    assert summary(difference) == "entries: 1 new; 2 FAIL, 1 WARN"
    assert values(difference)["changes"][0]["findings"][0]["where"] == "runs/seed_1.toml"
