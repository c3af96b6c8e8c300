"""A dataset is made whole or not at all, by one of several runs, and used again only if it is as it was."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_corpora import corpus, documents

from golfreg.api import ConfigError, EnvironmentFault, InputError, Shards
from golfreg.config.spec import DataSettings
from golfreg.data.dataset import open_dataset
from golfreg.data.documents import MAX_DOCUMENT_BYTES
from golfreg.data.prepare import prepare
from golfreg.data.shards import TokenStream
from golfreg.data.writer import ShardWriter

BYTES = DataSettings(tokenizer="bytes")


def make(target, load=corpus, settings=BYTES, tell=lambda done, text: None):
    return prepare(load, "made", settings, target, tell)


def text_list(shards):
    data = TokenStream(shards).read(0, len(TokenStream(shards)))
    starts = np.flatnonzero(data == 1)
    return [bytes((d[1:] - 4).astype(np.uint8)).decode() for d in np.split(data, starts)[1:]]


def test_a_dataset_holds_the_documents_each_after_a_bos(tmp_path):
    told = []
    dataset, reused = make(tmp_path / "d", tell=lambda done, text: told.append((done, text)))
    assert not reused
    assert text_list(dataset.train_shards) == documents()
    assert text_list(dataset.validation_shards) == documents(8, 1000)
    assert dataset.validation_documents == 8
    size = sum(len(t.encode()) for t in documents(8, 1000))
    assert dataset.validation_bytes == dataset.validation_source_bytes == size
    assert dataset.validation_token_count == size + 8 == len(dataset.validation_tokens())
    assert (dataset.vocab_size, dataset.bos_id, dataset.licence) == (260, 1, "CC0")
    assert dataset.notes == {"made": "here"}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_a_trained_tokenizer_is_kept_with_the_dataset(tmp_path):
    dataset, _ = make(tmp_path / "d", settings=DataSettings(tokenizer="sp310"))
    assert (tmp_path / "d" / "tokenizer.model").stat().st_size > 0
    assert dataset.vocab_size == 310
    assert dataset.validation_documents_changed == 0
    tokens = dataset.validation_tokens()
    assert dataset.byte_table.count(tokens[:-1], tokens[1:]).sum() == dataset.validation_bytes


def test_the_same_corpus_gives_the_same_files(tmp_path):
    settings = DataSettings(tokenizer="sp310")
    first, _ = make(tmp_path / "a", settings=settings)
    second, _ = make(tmp_path / "b", settings=settings)
    assert first.fingerprint == second.fingerprint
    for path in first.path.iterdir():
        assert path.read_bytes() == (second.path / path.name).read_bytes()


def test_duplicates_go_and_validation_keeps_its_copy(tmp_path):
    load = lambda: corpus(["a b", "c d", "a b", "held out", "", "e f"], ["held out", "x y", "x y"])  # noqa: E731
    dataset, _ = make(tmp_path / "d", load)
    assert text_list(dataset.train_shards) == ["a b", "c d", "e f"]
    assert text_list(dataset.validation_shards) == ["held out", "x y"]


def test_the_validation_limit_ends_a_document_and_leaves_training_as_it_is(tmp_path):
    whole, _ = make(tmp_path / "a")
    ends = np.cumsum([len(t.encode()) + 1 for t in documents(8, 1000)])
    for limit, expected in ((1, 1), (int(ends[0]), 1), (int(ends[0]) + 1, 2), (10**9, 8)):
        settings = DataSettings(tokenizer="bytes", validation_tokens=limit)
        cut, _ = make(tmp_path / str(limit), settings=settings)
        assert cut.validation_documents == expected
        assert cut.validation_token_count == ends[expected - 1]
        assert cut.train_tokens == whole.train_tokens


def test_a_document_of_the_unused_validation_does_not_reach_training(tmp_path):
    load = lambda: corpus(["a b", "later"], ["first one", "later"])  # noqa: E731
    dataset, _ = make(tmp_path / "d", load, DataSettings(tokenizer="bytes", validation_tokens=1))
    assert text_list(dataset.train_shards) == ["a b"]
    assert text_list(dataset.validation_shards) == ["first one"]


def test_a_whole_dataset_is_used_again_without_opening_the_corpus(tmp_path):
    make(tmp_path / "d")
    assert make(tmp_path / "d", lambda: pytest.fail("the corpus was opened"))[1]


@pytest.mark.parametrize("name", ["dataset.toml", "validation_000000.bin", "bytes.safetensors"])
def test_a_dataset_that_was_changed_is_made_again(tmp_path, name):
    before, _ = make(tmp_path / "d")
    path = tmp_path / "d" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    after, reused = make(tmp_path / "d")
    assert not reused
    assert after.fingerprint == before.fingerprint
    assert make(tmp_path / "d")[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_a_truncated_training_shard_is_made_again(tmp_path):
    dataset, _ = make(tmp_path / "d")
    dataset.train_shards[0].write_bytes(dataset.train_shards[0].read_bytes()[:-2])
    assert not make(tmp_path / "d")[1]


def test_a_directory_of_other_things_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and holds no dataset"):
        make(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ([], ["v v"], "no training text"),
        (["t t"], [], "no validation text"),
        (["", ""], ["v v"], "no training text"),
        (["v v"], ["v v"], "no training text"),
        (["a", 7], ["v v"], "training document 1 is not text: int"),
        (["a"], ["v\ud800v"], "validation document 0 cannot be written in UTF-8"),
        (["x" * (MAX_DOCUMENT_BYTES + 1)], ["v v"], "has 16,777,217 bytes; at most 16,777,216"),
    ],
)
def test_a_corpus_that_cannot_be_used_says_why_and_leaves_nothing(tmp_path, train, validation, message):
    with pytest.raises(InputError, match=message):
        make(tmp_path / "d", lambda: corpus(train, validation))
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_too_small_for_its_vocabulary_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match="at most"):
        make(tmp_path / "d", settings=DataSettings(tokenizer="sp9000"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("where", ["golfreg.data.writer.os.fsync", "golfreg.data.prepare.write_whole"])
def test_a_full_or_failing_disk_is_an_environment_fault_and_leaves_nothing(tmp_path, monkeypatch, where, number):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises(EnvironmentFault, match=os.strerror(number)) as caught:
            make(tmp_path / "d")
    assert "GOLFREG_CACHE" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    assert not make(tmp_path / "d")[1]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    partial = tmp_path / ".d.partial"
    (partial / "sub").mkdir(parents=True)
    (partial / "train_000007.bin").write_bytes(b"half")
    dataset, _ = make(tmp_path / "d")
    assert "train_000007.bin" not in {p.name for p in dataset.path.iterdir()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from small_corpora import corpus, documents
from golfreg.config.spec import DataSettings
from golfreg.data.prepare import prepare
print("ready", flush=True)
load = lambda: corpus(documents(20_000))
dataset, reused = prepare(load, "made", DataSettings(tokenizer="bytes"), Path(sys.argv[2]), lambda done, text: None)
print("reused" if reused else "built", dataset.fingerprint, flush=True)
"""


def child(target):
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(target)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_kill_at_any_moment_leaves_no_half_made_dataset(tmp_path):
    target = tmp_path / "d"
    killed = 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2):
        process = child(target)
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if target.exists():
            assert open_dataset(target).train_tokens > 1_000_000
            break
        killed += 1
    assert killed
    output, _ = child(target).communicate()
    assert len(output.split()) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_of_runs_at_the_same_time_one_builds_and_the_others_take_its_dataset(tmp_path):
    processes = [child(tmp_path / "d") for _ in range(3)]
    outputs = [process.communicate()[0].split()[1:] for process in processes]
    assert sorted(how for how, _ in outputs) == ["built", "reused", "reused"]
    assert len({fingerprint for _, fingerprint in outputs}) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def given_shards(directory, validation=(1, 70, 71, 1, 72, 1, 73, 74), train=(1, 65, 66)):
    directory.mkdir()
    paths = {}
    for prefix, tokens in (("validation", validation), ("train", train)):
        writer = ShardWriter(directory, prefix, shard_tokens=5)
        writer.append(np.array(tokens))
        writer.close()
        paths[prefix] = tuple(map(str, writer.paths))
    return Shards(paths["train"], paths["validation"], "bytes", "f" * 64, "CC0")


def test_shards_are_taken_as_they_are(tmp_path):
    shards = given_shards(tmp_path / "given")
    dataset, _ = make(tmp_path / "d", lambda: shards, DataSettings())
    assert dataset.validation_tokens().tolist() == [1, 70, 71, 1, 72, 1, 73, 74]
    assert (dataset.validation_documents, dataset.validation_bytes, dataset.train_tokens) == (3, 5, 3)
    assert "source" in dataset.notes


@pytest.mark.parametrize(("limit", "tokens"), [(1, 3), (3, 3), (4, 5), (5, 5), (6, 8), (100, 8)])
def test_the_validation_limit_cuts_shards_at_a_documents_end(tmp_path, monkeypatch, limit, tokens):
    monkeypatch.setattr("golfreg.data.shards._CHUNK", 4)
    shards = given_shards(tmp_path / "given")
    dataset, _ = make(tmp_path / "d", lambda: shards, DataSettings(validation_tokens=limit))
    assert dataset.validation_token_count == tokens


def test_shards_with_tokens_outside_the_vocabulary_are_an_error(tmp_path):
    for split in ("validation", "train"):
        shards = given_shards(tmp_path / split, **{split: (1, 65, 260)})
        with pytest.raises(InputError, match=r"token 2 of the shard .* is 260, outside the vocabulary of 260"):
            make(tmp_path / "d", lambda shards=shards: shards)
    assert not (tmp_path / "d").exists()


def test_shards_without_a_tokenizer_ask_for_one(tmp_path):
    given = given_shards(tmp_path / "given")
    for notes, message in (({}, "without a tokenizer"), ({"tokenizers": "a.model, b.model"}, "a.model, b.model")):
        shards = Shards(given.train, given.validation, None, "f" * 64, "CC0", notes)
        with pytest.raises(InputError, match=message):
            make(tmp_path / "d", lambda shards=shards: shards, DataSettings())
        assert make(tmp_path / f"ok{len(notes)}", lambda shards=shards: shards)[0].tokenizer == "bytes"
