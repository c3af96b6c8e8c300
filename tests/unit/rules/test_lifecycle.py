import pytest

from golfreg.leaderboard.entries import STATUSES
from golfreg.rules.lifecycle import FROZEN, allowed_transition


def test_an_author_claims_and_withdraws_and_no_more():
    assert allowed_transition(None, "claimed").allowed
    assert allowed_transition("claimed", "withdrawn").allowed
    assert allowed_transition("withdrawn", "claimed").allowed
    for after in ("reproduced", "accepted", "invalid"):
        answer = allowed_transition("claimed", after)
        assert (answer.allowed, answer.by) == (False, "maintainer")
        assert answer.why == f"only a maintainer sets `claimed` to `{after}`"
        assert allowed_transition("claimed", after, maintainer=True).allowed


def test_the_first_status_of_an_entry_is_claimed_unless_a_maintainer_takes_it_over():
    assert "as the first status" in allowed_transition(None, "accepted").why
    for status in STATUSES:
        assert allowed_transition(None, status, maintainer=True).allowed


@pytest.mark.parametrize("maintainer", [False, True])
def test_history_is_not_deleted(maintainer):
    for status in FROZEN | {"reproduced"}:
        answer = allowed_transition(status, None, maintainer=maintainer)
        assert not answer.allowed
        assert "do not delete it" in answer.why
    for status in ("claimed", "support", "withdrawn"):
        assert allowed_transition(status, None, maintainer=maintainer).allowed is maintainer


def test_steps_that_make_no_sense_are_nobodys():
    for before, after in (("claimed", "superseded"), ("withdrawn", "accepted"), ("accepted", "claimed")):
        answer = allowed_transition(before, after, maintainer=True)
        assert (answer.allowed, answer.by) == (False, "")
        assert answer.why == f"an entry does not go from `{before}` to `{after}`"


def test_no_change_is_always_allowed_and_whatever_an_author_may_do_a_maintainer_may():
    for before in (None, *STATUSES):
        assert allowed_transition(before, before).allowed
        for after in (None, *STATUSES):
            if allowed_transition(before, after).allowed:
                assert allowed_transition(before, after, maintainer=True).allowed


def test_every_status_can_be_reached_by_a_maintainer():
    reached = {"claimed"}
    while new := {a for b in reached for a in STATUSES if allowed_transition(b, a, maintainer=True).allowed} - reached:
        reached |= new
    assert reached == set(STATUSES)
