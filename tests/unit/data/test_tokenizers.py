"""Tokenizers that golfreg trains lose nothing, count right, and come out the same each time."""

import numpy as np
import pytest
from small_corpora import NASTY, documents

from golfreg.api import ConfigError, InputError
from golfreg.data.tokenizers import (
    ByteTokenizer,
    SentencePieceTokenizer,
    make_tokenizer,
    read_tokenizer,
    sentencepiece_size,
    take_bytes,
)
from golfreg.data.train_tokenizer import train_sentencepiece, trained_model

SIZE = 310


@pytest.fixture(scope="module")
def model():
    return train_sentencepiece(documents(), SIZE)


@pytest.fixture(params=["bytes", "trained"])
def tokenizer(request, model):
    return make_tokenizer("bytes" if request.param == "bytes" else f"sp{SIZE}", lambda size: model)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_nothing_is_lost_and_every_byte_is_counted(tokenizer, text):
    (tokens,) = tokenizer.encode([text])
    assert tokenizer.decode([tokens]) == [text.encode()]
    table = tokenizer.byte_table()
    with_bos = np.concatenate([np.array([tokenizer.bos_id], np.uint16), tokens])
    assert table.count(with_bos[:-1], with_bos[1:]).sum() == len(text.encode())


def test_random_unicode_is_not_lost(tokenizer):
    rng = np.random.default_rng(3)
    codes = rng.choice([*range(0x300), *range(0x2000, 0x2600), *range(0xE000, 0xE010), *range(0x1F600, 0x1F640)], 4000)
    texts = ["".join(map(chr, part)) for part in np.split(codes, 80)]
    encoded = tokenizer.encode(texts)
    assert tokenizer.decode(encoded) == [text.encode() for text in texts]


def test_special_tokens_are_the_challenges(tokenizer):
    table = tokenizer.byte_table()
    assert tokenizer.bos_id == 1
    assert table.boundary[:5].tolist() == [True] * 4 + [False]
    assert table.base_bytes[:5].tolist() == [0, 0, 0, 0, 1]


def test_the_byte_layout_is_byte260():
    (tokens,) = ByteTokenizer().encode(["é\x00A"])
    assert tokens.tolist() == [0xC3 + 4, 0xA9 + 4, 4, 0x41 + 4]
    assert ByteTokenizer.vocab_size == 260


def test_no_piece_holds_a_space_but_at_its_start(model):
    pieces = SentencePieceTokenizer(model, "x", "x")._processor
    assert all("\u2581" not in pieces.id_to_piece(i)[1:] for i in range(SIZE))
    assert pieces.piece_to_id("\u2581") > 259


def test_training_twice_gives_the_same_file(model):
    assert train_sentencepiece(documents(), SIZE) == model


def test_a_trained_model_is_kept_and_a_damaged_one_is_made_again(tmp_path):
    model = trained_model(documents(), SIZE, tmp_path)
    (path,) = tmp_path.glob("*.model")
    path.write_bytes(model[:-1])
    assert trained_model(documents(), SIZE, tmp_path) == model
    assert path.read_bytes() == model
    trained_model(documents(), SIZE + 1, tmp_path)
    trained_model(documents()[1:], SIZE, tmp_path)
    assert len(list(tmp_path.glob("*.model"))) == 3


def test_a_kept_model_is_not_trained_again(tmp_path, monkeypatch):
    model = trained_model(documents(), SIZE, tmp_path)
    monkeypatch.setattr("golfreg.data.train_tokenizer.train_sentencepiece", None)
    assert trained_model(documents(), SIZE, tmp_path) == model


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        (["hello world"], 1024, "its text yields at most"),
        (["".join(map(chr, range(0x4E00, 0x4E00 + 2000)))], 300, "its characters alone need"),
        ([], 300, "the corpus has no training text"),
        (["", "\x00"], 300, "its text yields at most"),
    ],
)
def test_a_corpus_too_small_for_the_vocabulary_is_a_clear_error(texts, size, message):
    with pytest.raises((ConfigError, InputError), match=message) as caught:
        train_sentencepiece(texts, size)
    assert f"sp{size}" in caught.value.message
    assert caught.value.hint


def test_a_text_with_characters_that_the_trainer_skips_still_trains(model):
    assert train_sentencepiece([text + "\x00\u2585\u2581" for text in documents()], SIZE)


def test_sp_n_is_read_and_its_range_is_checked():
    assert [sentencepiece_size(s) for s in ("sp1024", "sp65536", "bytes", "x/sp.model", "spx")] == [
        1024, 65536, None, None, None,
    ]  # fmt: skip
    for setting in ("sp0", "sp260", "sp65537", "sp999999999"):
        with pytest.raises(ConfigError, match="outside 261 to 65,536"):
            sentencepiece_size(setting)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100, bytes(range(256))])
def test_a_file_that_is_no_model_is_an_error(tmp_path, content):
    path = tmp_path / "x.model"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.model` is not a SentencePiece model"):
        read_tokenizer(path)


def test_a_truncated_model_is_an_error_or_another_vocabulary(tmp_path, model):
    path = tmp_path / "x.model"
    for cut in range(1, len(model), 211):
        path.write_bytes(model[:cut])
        try:
            assert read_tokenizer(path).digest != SentencePieceTokenizer(model, "x", "x").digest
        except InputError:
            continue


def test_a_tokenizer_setting_that_is_nothing_known_says_what_it_may_be(tmp_path):
    for setting in ("foo", str(tmp_path), "a\0b"):
        with pytest.raises(InputError) as caught:
            make_tokenizer(setting, lambda size: b"")
        assert "`bytes`" in caught.value.hint


def test_take_bytes_cuts_at_a_character():
    assert take_bytes(["abc", "dé", "never"], 5) == ["abc", "d"]
    assert take_bytes(["abc"], 100) == ["abc"]


def test_long_documents_without_spaces_are_not_lost():
    """Of a genome's characters the space before each document is the rarest."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 5000)) for _ in range(20)]
    tokenizer = make_tokenizer("sp300", lambda size: train_sentencepiece(texts, size))
    encoded = tokenizer.encode(texts)
    assert tokenizer.decode(encoded) == [text.encode() for text in texts]
    table = tokenizer.byte_table()
    with_bos = np.concatenate([np.array([tokenizer.bos_id], np.uint16), encoded[0]])
    assert table.count(with_bos[:-1], with_bos[1:]).sum() == 5000
