"""Each kind of corpus from the command line: prepared with each tokenizer that it takes, and run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golfreg.data.dataset import open_dataset
from golfreg.data.train_tokenizer import train_sentencepiece
from tests.conftest import TINY, WORDS, Golfreg

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ECOLI = DATA / "dna" / "ecoli_536_NC_008253.fna.xz"


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{i}: " + " ".join(draw.choices(WORDS, k=draw.randint(20, 60))) for i in range(count)]


def jsonl(directory: Path) -> str:
    path = directory / "made.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(400, 0)))
    return f"jsonl:{path}"


def shards(directory: Path) -> str:
    import sentencepiece

    model = train_sentencepiece(texts(300, 1), 400)
    (directory / "made.model").write_bytes(model)
    encode = sentencepiece.SentencePieceProcessor(model_proto=model).encode
    for name, count in (("train", 300), ("val", 40)):
        tokens = np.concatenate([np.array([1, *encode(text)], "<u2") for text in texts(count, len(name))])
        header = np.zeros(256, "<i4")
        header[:3] = 20240520, 1, len(tokens)
        (directory / f"made_{name}_000000.bin").write_bytes(header.tobytes() + tokens.tobytes())
    return f"shards:{directory}"


def genome(directory: Path) -> str:
    """Codons drawn from a few: far less than two bits a base."""
    draw = random.Random(2)
    path = directory / "made.fa"
    codons = ["ATG", "GCG", "CTG", "GAA", "AAA", "ACC"]
    path.write_text("".join(f">{i}\n{''.join(draw.choices(codons, k=300)).lower()}NN\n" for i in range(300)))
    return f"genome:{path};document=900"


@pytest.mark.parametrize(
    ("make", "tokenizer", "vocab_size"),
    [
        (jsonl, "bytes", 260), (jsonl, "sp300", 300), (shards, "sp1024", 400), (shards, "bytes", 260),
        (genome, "bytes", 260),
    ],
    ids=["jsonl bytes", "jsonl sp", "shards as they are", "shards in bytes", "genome bytes"],
)  # fmt: skip
def test_each_kind_is_prepared_and_planned(
    golfreg: Golfreg, tmp_path: Path, make: Callable[[Path], str], tokenizer: str, vocab_size: int
) -> None:
    corpus = make(tmp_path)
    done = golfreg("data", "prepare", "--corpus", corpus, "--tokenizer", tokenizer, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["vocab_size"] == vocab_size
    assert facts["validation_bytes"] > 1000
    assert open_dataset(facts["path"]).validation_bytes == facts["validation_bytes"]


def test_shards_in_bytes_are_the_same_text_as_the_shards(golfreg: Golfreg, tmp_path: Path) -> None:
    corpus = shards(tmp_path)
    whole, in_bytes, cut = (
        json.loads(golfreg("data", "prepare", "--corpus", corpus, "--json", *more).stdout)
        for more in ([], ["--tokenizer=bytes"], ["--tokenizer=bytes", "--validation-tokens=500"])
    )
    assert in_bytes["validation_bytes"] == whole["validation_bytes"] == sum(len(t.encode()) for t in texts(40, 3))
    assert in_bytes["validation_documents"] == whole["validation_documents"] == 40
    tokens = open_dataset(in_bytes["path"]).validation_tokens()
    assert bytes((tokens[tokens >= 4] - 4).astype(np.uint8)).decode() == "".join(texts(40, 3))
    assert 500 <= cut["validation_tokens"] < 1000


def test_a_plan_knows_the_vocabulary_of_bytes_and_not_that_of_shards(golfreg: Golfreg, tmp_path: Path) -> None:
    corpus = shards(tmp_path)
    for tokenizer, known in (("bytes", True), ("sp1024", False)):
        done = golfreg("run", "--dry-run", "--json", "--corpus", corpus, "--tokenizer", tokenizer, "--device=cpu",
                       GOLFREG_CACHE=str(tmp_path / "empty"))  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (json.loads(done.stdout)["parameters"] is not None) == known


def test_data_that_is_the_users_own_cannot_be_fetched(golfreg: Golfreg) -> None:
    done = golfreg("data", "get", "jsonl:my.jsonl")
    assert done.returncode == 2
    assert "golfreg run --corpus jsonl:my.jsonl" in done.stderr
    assert golfreg("data", "get", "finewebb:sp1024").returncode == 2


def run(golfreg: Golfreg, corpus: str, *more: str) -> dict[str, Any]:
    done = golfreg("run", "--corpus", corpus, "--json", *TINY, *more, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    record: Any = json.loads(done.stdout)
    return dict(record[0] if isinstance(record, list) else record)


def test_a_genome_is_run_from_end_to_end_in_less_than_two_bits_a_base(golfreg: Golfreg, tmp_path: Path) -> None:
    record = run(golfreg, genome(tmp_path), "--arch=transformer", "--set=mixer.n_heads=4", "--set=mixer.n_kv_heads=2",
                 "--steps=60", "--set=train.batch_tokens=512")  # fmt: skip
    assert record["score"]["bits_per_byte"] < 2
    assert record["data"]["corpus"].startswith("genome:")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "more"),
    [
        (jsonl, []), (jsonl, ["--tokenizer=sp300"]), (shards, []), (shards, ["--tokenizer=sp1024"]),
        (lambda directory: "docstrings", []), (lambda directory: "docstrings", ["--tokenizer=sp1024"]),
    ],
    ids=["jsonl bytes", "jsonl sp", "shards in bytes", "shards as they are", "docstrings bytes", "docstrings sp"],
)  # fmt: skip
def test_each_kind_is_run_from_end_to_end(
    golfreg: Golfreg, tmp_path: Path, make: Callable[[Path], str], more: list[str]
) -> None:
    record = run(golfreg, make(tmp_path), "--steps=60", "--set=train.batch_tokens=512", *more)
    assert 1 < record["score"]["bits_per_byte"] < 8
    print(make, more, record["score"]["bits_per_byte"])


@pytest.mark.slow
@pytest.mark.skipif(not ECOLI.exists(), reason="the E. coli genome is not on this machine")
def test_a_real_genome_takes_less_than_two_bits_a_base(golfreg: Golfreg) -> None:
    record = run(golfreg, f"genome:{ECOLI}", "--arch=transformer", "--set=mixer.n_heads=4", "--set=mixer.n_kv_heads=2",
                 "--steps=300", "--set=train.batch_tokens=1024", "--set=train.sequence_length=128")  # fmt: skip
    assert record["score"]["bits_per_byte"] < 2
    print(record["score"]["bits_per_byte"])
