from dataclasses import replace

from golfreg.rules.claims import Again, Claim
from golfreg.rules.figures import SeedResult, mean
from golfreg.rules.frontier import Outcome, replay
from golfreg.rules.ruleset import load_ruleset

GOLF = load_ruleset("parameter-golf-frontier")
README = load_ruleset("parameter-golf").significance

# Per-seed bits per byte of record folders of github.com/openai/parameter-golf: submission.json of main at 4908dc46f,
# and of the pull request for #1529, whose folder is not on main. Day and pull request as published.
HISTORY = {
    1514: ("2026-04-09", (1.07928348, 1.07996676, 1.08024795)),
    1493: ("2026-04-09", (1.08079, 1.08103, 1.08118)),
    1529: ("2026-04-11", (1.07506048, 1.07645101, 1.07585093)),
    1736: ("2026-04-19", (1.06610, 1.06473, 1.06563)),
    1769: ("2026-04-22", (1.06356801, 1.06413130, 1.06466993, 1.06509678, 1.06516558)),
}


def claim(number, day, scores, ratio=2.583, **facts):
    results = tuple(
        SeedResult(where="r", seed=n, bits_per_byte=score, nats_per_token=score * ratio)
        for n, score in enumerate(scores)
    )
    return Claim(
        key=f"parameter-golf/{day}_pr-{number}", track="parameter-golf", author="A", date=day, ruleset=GOLF,
        status="claimed", mean=mean(scores), results=results, order=number, **facts,
    )  # fmt: skip


def outcomes(steps):
    return {step.claim.order: step.outcome for step in steps}


def history():
    return [claim(number, day, scores) for number, (day, scores) in HISTORY.items()]


def test_the_frontier_of_april_under_the_rule_that_its_maintainers_used():
    steps = replay(history(), GOLF.significance)
    assert [step.claim.order for step in steps] == [1493, 1514, 1529, 1736, 1769]
    assert list(outcomes(steps).values()) == [Outcome.FIRST, *[Outcome.RECORD] * 4]
    p = {step.claim.order: step.verdict.p for step in steps if step.verdict}
    assert [f"{p[number]:.3f}" for number in (1514, 1529, 1769)] == ["0.020", "0.001", "0.063"]
    until = {step.claim.order: step.until.order for step in steps if step.until}
    assert until == {1493: 1514, 1514: 1529, 1529: 1736, 1736: 1769}


def test_the_same_entries_under_the_readmes_rule():
    steps = replay(history(), README)
    assert outcomes(steps) == {
        1493: Outcome.FIRST,
        1514: Outcome.NOT_SIGNIFICANT,
        1529: Outcome.RECORD,
        1736: Outcome.RECORD,
        1769: Outcome.NOT_SIGNIFICANT,
    }
    assert [step.before.order for step in steps[1:]] == [1493, 1493, 1529, 1736]


def test_a_claim_is_held_against_the_record_and_not_against_the_last_claim():
    steps = replay(
        [claim(1, "2026-01-01", (1.10, 1.11)), claim(2, "2026-01-02", (1.2, 1.3)), claim(3, "2026-01-03", (1.0, 1.01))],
        GOLF.significance,
    )
    assert list(outcomes(steps).values()) == [Outcome.FIRST, Outcome.NOT_LOWER, Outcome.RECORD]
    assert steps[2].before.order == 1


def test_one_seed_is_not_decided_and_does_not_become_the_record():
    claims = [claim(1, "2026-01-01", (1.10,)), claim(2, "2026-01-02", (1.0,)), claim(3, "2026-01-03", (1.08, 1.081))]
    steps = replay(claims, GOLF.significance)
    assert list(outcomes(steps).values()) == [Outcome.FIRST, Outcome.NOT_DECIDED, Outcome.RECORD]
    assert "one score only" in steps[1].verdict.why
    assert steps[2].verdict.test == "one-sample"


def test_reproductions_are_pooled_where_the_ruleset_says_so():
    record = claim(1, "2026-01-01", (1.0810, 1.0811, 1.0812))
    again = (Again("B", "2026-01-03", (1.0830, 1.0840, 1.0850)),)
    candidate = claim(2, "2026-01-02", (1.0808, 1.0809, 1.0810), reproductions=again)
    assert outcomes(replay([record, candidate], GOLF.significance))[2] is Outcome.NOT_LOWER
    alone = replace(GOLF.significance, pool_reproductions=False)
    assert outcomes(replay([record, candidate], alone))[2] is Outcome.RECORD


def test_without_a_test_a_lower_mean_is_enough():
    claims = [claim(1, "2026-01-01", (1.10,)), claim(2, "2026-01-02", (1.0,)), claim(3, "2026-01-03", (1.05,))]
    assert list(outcomes(replay(claims, None)).values()) == [Outcome.FIRST, Outcome.RECORD, Outcome.NOT_LOWER]


def test_an_entry_that_only_declares_a_mean_can_be_the_record_to_beat():
    declared = replace(claim(1, "2026-01-01", (1.1,)), results=())
    steps = replay([declared, claim(2, "2026-01-02", (1.0, 1.01))], GOLF.significance)
    assert steps[1].outcome is Outcome.RECORD
    assert replay([], GOLF.significance) == []
