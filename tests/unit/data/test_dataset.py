"""Opening a dataset checks everything that is cheap to check, and a wrong file never gets further."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_corpora import corpus

from golfreg.api import InputError
from golfreg.config.spec import DataSettings
from golfreg.data.dataset import ByteTable, open_dataset
from golfreg.data.prepare import prepare
from golfreg.data.shards import HEADER_BYTES


@pytest.fixture
def dataset(tmp_path):
    return prepare(corpus, "made", DataSettings(tokenizer="bytes"), tmp_path / "d", lambda done, text: None)[0]


def edit(dataset, old, new):
    path = dataset.path / "dataset.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_bytes_are_the_challenges_formula():
    # Tokens: 0 control, 1 the byte A, 2 a space and "the", 3 "cat", 4 a lone space.
    table = ByteTable(
        np.array([0, 1, 3, 3, 0], np.int16),
        np.array([False, False, True, False, True]),
        np.array([True, False, False, False, False]),
    )
    previous = np.array([0, 2, 3, 3, 0, 1], np.uint16)
    targets = np.array([2, 3, 2, 4, 4, 0], np.uint16)
    assert table.count(previous, targets).tolist() == [3, 3, 4, 1, 0, 0]
    assert table.count(previous.reshape(2, 3), targets.reshape(2, 3)).shape == (2, 3)
    assert table.count(previous, targets).dtype == np.int64


def test_an_opened_dataset_is_the_one_that_was_made(dataset):
    opened = open_dataset(str(dataset.path))
    assert opened.fingerprint == dataset.fingerprint
    assert opened.validation_tokens().dtype == np.uint16
    assert np.array_equal(opened.byte_table.base_bytes, dataset.byte_table.base_bytes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2; this golfreg reads schema 1"),
        ("schema = 1", 'schema = "1"', "no usable `schema`"),
        ("vocab_size = 260", "vocab_size = 70000", "vocab_size 70000"),
        ("vocab_size = 260", "vocab_size = 261", "no `base_bytes` for 261 tokens"),
        ("vocab_size = 260", "vocab_size = true", "no usable `vocab_size`: True"),
        ("bos_id = 1", "bos_id = 260", "bos_id 260"),
        ("bos_id = 1", "bos_id = -1", "no usable `bos_id`: -1"),
        ('licence = "CC0"', "", "no usable `licence`: None"),
        ("train_tokens = ", "train_tokens = 1", "holds .* training tokens where it says 1"),
        ("validation_tokens = ", "validation_tokens = 1", "holds .* validation tokens where it says 1"),
        ("train_000000.bin", "../train_0.bin", "does not describe the file '../train_0.bin'"),
        ("train_000000.bin", "train_9.bin", "cannot read the shard"),
        ("schema = 1", "schema 1", "is not TOML"),
    ],
)
def test_a_wrong_description_is_an_error(dataset, old, new, message):
    edit(dataset, old, new)
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(dataset.path)
    assert "d" in caught.value.message


def test_a_description_that_is_not_utf8_or_absent_is_an_error(dataset, tmp_path):
    with pytest.raises(InputError, match=r"is not a dataset: it has no dataset\.toml"):
        open_dataset(tmp_path)
    (dataset.path / "dataset.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not TOML in UTF-8"):
        open_dataset(dataset.path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 8 + b"{}", b"x" * 1_000_000])
def test_a_damaged_byte_table_is_an_error(dataset, content):
    (dataset.path / "bytes.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="byte table"):
        open_dataset(dataset.path)


def test_a_byte_table_of_another_type_is_an_error(dataset):
    tables = {"base_bytes": np.zeros(260, np.float32), "leading_space": np.zeros(260), "boundary": np.zeros(260)}
    save_file(tables, dataset.path / "bytes.safetensors")
    with pytest.raises(InputError, match="no `base_bytes`"):
        open_dataset(dataset.path)


def test_a_validation_token_outside_the_vocabulary_is_an_error(dataset):
    path = dataset.validation_shards[0]
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 9] = 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"token 4 of the shard .* outside the vocabulary of 260"):
        dataset.validation_tokens()
