"""Token files: what is written is read back, and nothing that is not a whole shard is read at all."""

import numpy as np
import pytest

from golfreg.api import InputError
from golfreg.data.shards import HEADER_BYTES, TokenStream, open_shard, shard_tokens
from golfreg.data.writer import ShardWriter


def write(directory, tokens, shard_tokens=100):
    writer = ShardWriter(directory, "train", shard_tokens)
    writer.append(np.asarray(tokens))
    writer.close()
    return writer.paths


def header(magic=20240520, version=1, count=0):
    values = np.zeros(256, "<i4")
    values[:3] = magic, version, count
    return values.tobytes()


def test_a_shard_is_the_challenges_format_byte_for_byte(tmp_path):
    (path,) = write(tmp_path, [1, 2, 65_535])
    assert path.read_bytes() == header(count=3) + np.array([1, 2, 65_535], "<u2").tobytes()


def test_tokens_come_back_over_shard_boundaries(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 1 << 16, 1017)
    paths = write(tmp_path, tokens, shard_tokens=100)
    assert [p.name for p in paths][:2] == ["train_000000.bin", "train_000001.bin"]
    assert len(paths) == 11
    stream = TokenStream(paths)
    assert len(stream) == 1017
    for start, stop in ((0, 1017), (0, 0), (99, 101), (100, 200), (350, 651), (1016, 1017), (1017, 1017)):
        assert np.array_equal(stream.read(start, stop), tokens[start:stop])
    assert np.array_equal(np.concatenate(list(stream.chunks())), tokens)


def test_appending_in_pieces_writes_the_same_files(tmp_path):
    tokens = np.arange(1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    writer = ShardWriter(tmp_path / "b", "train", 100)
    for part in np.split(tokens, [1, 7, 250, 251, 900]):
        writer.append(part)
    writer.close()
    whole = write(tmp_path / "a", tokens)
    assert [p.read_bytes() for p in whole] == [p.read_bytes() for p in writer.paths]


def test_a_shard_that_was_not_closed_is_rejected(tmp_path):
    writer = ShardWriter(tmp_path, "train")
    writer.append(np.arange(10))
    writer.abandon()
    with pytest.raises(InputError, match="not a token shard"):
        shard_tokens(writer.paths[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 bytes"),
        (header()[:-1], "has 1,023 bytes"),
        (header(magic=1), "starts with 1, not 20240520"),
        (header(version=2), "version 2"),
        (header(count=3) + b"12345", r"3 tokens, that is 1,030 bytes, and has 1,029"),
        (header(count=2) + b"123456", r"2 tokens, that is 1,028 bytes, and has 1,030"),
        (header(count=-1), "-1 tokens"),
        (header(count=2**31 - 1), "2,147,483,647 tokens"),
    ],
)
def test_a_damaged_shard_is_an_error_with_path_and_numbers(tmp_path, data, message):
    path = tmp_path / "x_train_0.bin"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        open_shard(path)
    assert str(path) in caught.value.message


def test_a_missing_shard_and_a_directory_are_errors(tmp_path):
    for path in (tmp_path / "absent.bin", tmp_path):
        with pytest.raises(InputError, match="cannot read the shard"):
            shard_tokens(path)


def test_an_empty_shard_between_others_holds_nothing(tmp_path):
    empty = tmp_path / "empty.bin"
    empty.write_bytes(header())
    (path,) = write(tmp_path, [5, 6])
    assert HEADER_BYTES == 1024
    assert TokenStream([path, empty, path]).read(0, 4).tolist() == [5, 6, 5, 6]


def test_a_token_outside_the_vocabulary_is_named_with_its_place(tmp_path):
    paths = write(tmp_path, [3] * 150 + [260] + [3] * 9)
    with pytest.raises(InputError, match=r"token 50 of the shard .*train_000001.bin` is 260, .* vocabulary of 260"):
        TokenStream(paths).check(260)
    TokenStream(paths).check(261)
