"""``golfreg leaderboard compare``, ``power`` and ``frontier``: who beats whom, how surely, and since when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfreg.api.errors import ConfigError
from golfreg.cli import complete
from golfreg.cli.out import Out, plain

ROOT = Path("leaderboard")


def compare(
    candidate: Annotated[
        str,
        typer.Argument(help="An entry: its directory, `track/date_name`, its name, or its pull request, as in #1514."),
    ],
    record: Annotated[str, typer.Argument(help="The entry that it is held against.")],
    ruleset: Annotated[
        str | None, typer.Option(help="Default: the candidate's own.", autocompletion=complete.rulesets)
    ] = None,
    root: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print values in full precision as JSON.")] = False,
) -> None:
    """Test whether one entry beats another under a ruleset: gain, t, degrees of freedom, p and the verdict.

    Examples:

    golfreg leaderboard compare my-entry the-record --ruleset parameter-golf-frontier

    golfreg leaderboard compare "#1514" "#1493" --ruleset parameter-golf-frontier
    """
    from golfreg.leaderboard import significance
    from golfreg.rules.significance import p_text

    out = Out(as_json)
    entries = [significance.find_entry(root, said) for said in (candidate, record)]
    rules, verdict = significance.compare(entries[0], entries[1], ruleset)
    if as_json:
        keys = {"candidate_entry": entries[0].key, "record_entry": entries[1].key, "ruleset": rules.name}
        out.json(keys | significance.verdict_values(verdict))
        return
    rows = [
        (entry.key, f"{s.mean:.6f}", "-" if s.std is None else f"{s.std:.6f}", str(len(s.scores)))
        for entry, s in zip(entries, (verdict.candidate, verdict.record), strict=True)
    ]
    out.table(("entry", "bits per byte", "std", "scores"), rows, right=("bits per byte", "std", "scores"))
    if verdict.p is not None:
        margin = f"{verdict.margin_nats_per_token:g} nats per token = {verdict.margin_bits_per_byte:.5f} bits per byte"
        out.line(f"margin {margin}; t = {verdict.t:.3f}, df = {verdict.df:.2f}, p = {p_text(verdict.p)}")
    out.line(f"under {rules.name}, {plain(entries[0].facts.name)} {verdict.sentence()}")


def power(
    gain: Annotated[float, typer.Option(help="Expected gain over the record, bits per byte.")],
    std: Annotated[float, typer.Option(help="Expected standard deviation over seeds, bits per byte.")],
    ruleset: Annotated[
        str, typer.Option(help="Whose test, margin and p value.", autocompletion=complete.rulesets)
    ] = "parameter-golf",
    chance: Annotated[float, typer.Option(help="Wanted chance of a significant outcome.")] = 0.8,
    record_seeds: Annotated[int, typer.Option(help="Seeds of the record, for Welch's test.")] = 3,
    nats_per_bit: Annotated[
        float, typer.Option(help="Nats per token for one bit per byte: 1.689 for 1024 tokens, 2.583 for 8192.")
    ] = 2.583,
    as_json: Annotated[bool, typer.Option("--json", help="Print the chance by number of seeds as JSON.")] = False,
) -> None:
    """Say how many seeds are needed to show an expected gain under a ruleset.

    Example: golfreg leaderboard power --gain 0.003 --std 0.0005 --ruleset parameter-golf
    """
    from golfreg.leaderboard.significance import rule_of
    from golfreg.rules.power import seeds_needed
    from golfreg.rules.ruleset import load_ruleset

    if not nats_per_bit > 0:
        raise ConfigError("`--nats-per-bit` is above 0", "it is the tokenizer's: nats per token / bits per byte")
    out = Out(as_json)
    rules = load_ruleset(ruleset)
    rule = rule_of(rules)
    margin = rule.margin_nats_per_token / nats_per_bit
    found = seeds_needed(
        gain, std, rule, margin=margin, record_seeds=record_seeds, power=chance, least=max(2, rules.seeds.required)
    )
    if as_json:
        asked = {"ruleset": ruleset, "gain": gain, "std": std, "margin_bits_per_byte": margin, "wanted_chance": chance}
        out.json({**asked, "seeds": found.seeds, "why": found.why, "chances": found.chances})
        return
    margin_text = (
        f"margin {rule.margin_nats_per_token:g} nats per token = {margin:.5f} bits per byte at {nats_per_bit:g}"
    )
    out.line(f"{ruleset}: {rule.test} test, p < {rule.p_value:g}, {margin_text}")
    if found.chances:
        last = list(found.chances.items())[-10:]
        out.table(("seeds", "chance"), [(str(n), f"{value:.3f}") for n, value in last], right=("seeds", "chance"))
    if found.seeds is None:
        out.line(f"not with any number of seeds: {found.why}")
    else:
        out.line(
            f"{found.seeds} seeds show a gain of {gain:g} with a chance of {found.chances[found.seeds]:.2f}"
            f" (std {std:g}; the ruleset asks for {rules.seeds.required} or more)"
        )


def frontier(
    track: Annotated[str | None, typer.Option(help="Only this track.", autocompletion=complete.tracks)] = None,
    ruleset: Annotated[
        str | None,
        typer.Option(help="Replay under this ruleset; default: the track's.", autocompletion=complete.rulesets),
    ] = None,
    root: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = ROOT,
    allow_findings: Annotated[bool, typer.Option("--allow-findings", help="Take in entries that fail a rule.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print values in full precision as JSON.")] = False,
) -> None:
    """Replay who was the record when: entries in order, each against the record before it.

    An entry that fails a rule takes part only if it was accepted, or with --allow-findings.

    Example: golfreg leaderboard frontier --ruleset parameter-golf-frontier
    """
    from golfreg.leaderboard import frontier as replaying
    from golfreg.leaderboard.reading import read_board
    from golfreg.leaderboard.significance import default_ruleset
    from golfreg.rules.ruleset import load_ruleset

    out = Out(as_json)
    if ruleset is not None:
        rules = load_ruleset(ruleset)
        if track not in (None, rules.track):
            raise ConfigError(f"ruleset `{ruleset}` is of track `{rules.track}`", "leave out `--track`")
        track = rules.track
    board = read_board(root, track)
    tracks = sorted({entry.facts.track for entry in board.entries})
    replays = []
    for name in tracks:
        entries = [entry for entry in board.entries if entry.facts.track == name]
        replays.append(replaying.frontier(entries, ruleset or default_ruleset(name).name, allow_findings))
    if as_json:
        out.json({"tracks": {found.ruleset.track: replaying.frontier_values(found) for found in replays}})
    else:
        for found in replays:
            title = f"track {found.ruleset.track} under {found.ruleset.name}"
            out.table(replaying.COLUMNS, [replaying.cells(step) for step in found.steps], title, replaying.RIGHT)
            for why, keys in replaying.reasons(found.steps).items():
                out.talk(plain(f"no p value for {', '.join(key.partition('_')[2] for key in keys)}: {why}"))
            for key, codes in found.failing.items():
                out.talk(plain(f"takes part, but fails {codes}: {key}"))
            for key, why in found.left_out.items():
                out.talk(plain(f"left out: {key}: {why}"))
        if not replays:
            out.line(f"the leaderboard at `{root}` has no entries yet")
    for one in board.broken:
        out.error(f"{one.key}: {one.message}", one.hint)
