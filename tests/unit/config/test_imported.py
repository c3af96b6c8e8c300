import pytest

from golfreg.api import InputError
from golfreg.config.imported import (
    Count,
    Described,
    Imported,
    ImportedRun,
    KeptFinding,
    Measure,
    Source,
    imported_to_toml,
    parse_imported,
)

RUN = ImportedRun(
    seed=7, log="train_seed7.log", bits_per_byte=Measure(declared=1.1, log=1.1001), total_bytes=Count(log=15_900_000)
)
FOLDER = Imported(
    source=Source(url="https://example.org/x%20y", folder="x y", pull_request=7, based_on=(1, 2)),
    code_policy="plain",
    counted_code={"shipped": 50_000},
    findings=(KeptFinding(code="GR603", level="FAIL", message="`train_gpt.py` is empty"),),
)


def test_what_is_written_is_read_again():
    for facts in (RUN, FOLDER):
        assert parse_imported(imported_to_toml(facts), "it", type(facts)) == facts


def test_what_is_not_known_is_not_written():
    text = imported_to_toml(RUN)
    assert "recomputed" not in text
    assert "train_seconds" not in text
    assert text.count("\n") < 16


def test_the_best_provenance_is_recomputed_then_logged_then_declared():
    assert Measure(declared=1.0, log=2.0, recomputed=3.0).best == 3.0
    assert Measure(declared=1.0, log=2.0).best == 2.0
    assert Count(declared=1).best == 1
    assert Count().best is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("declared = 1.1\n", "declared = -1.1\n", "cannot be negative"),
        ("declared = 1.1\n", "declared = inf\n", "must be finite"),
        ("declared = 1.1\n", "said = 1.1\n", "unknown key `said`"),
        ("seed = 7", 'seed = "7"', "must be a whole number"),
        ("schema = 1", "schema = 2", "upgrade"),
        ('"train_seed7.log"', '"\\u001b[2J"', "control character"),
    ],
)
def test_a_run_that_is_not_as_it_should_be_is_refused(old, new, says):
    text = imported_to_toml(RUN)
    assert old in text
    with pytest.raises(InputError) as caught:
        parse_imported(text.replace(old, new), "it", ImportedRun)
    assert says in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Source(url="javascript:alert(1)", folder="x"),
        lambda: Source(url="https://example.org/<script>", folder="x"),
        lambda: Source(url="https://example.org", folder=""),
        lambda: Source(url="https://example.org", folder="x", pull_request=-1),
        lambda: KeptFinding(code="GR1", level="FAIL", message="m"),
        lambda: KeptFinding(code="GR101", level="BAD", message="m"),
        lambda: Described(title="x" * 301),
        lambda: Imported(source=FOLDER.source, counted_code={"shipped": -1}),
    ],
)
def test_facts_that_cannot_be_are_refused(make):
    with pytest.raises(InputError):
        make()
