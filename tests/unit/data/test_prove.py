"""The byte proof stops at the first document whose counted bytes are not its decoded bytes."""

from dataclasses import replace

import numpy as np
import pytest
from small_corpora import NASTY, documents

from golfreg.api import InputError
from golfreg.data.prove import prove_bytes, split_documents, text_digest
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import ByteTokenizer, SentencePieceTokenizer
from golfreg.data.train_tokenizer import train_sentencepiece
from golfreg.data.writer import ShardWriter


def stream_of(directory, tokenizer, texts, shard_tokens=1 << 20):
    writer = ShardWriter(directory, "validation", shard_tokens)
    for tokens in tokenizer.encode(texts):
        writer.append(np.concatenate([np.array([tokenizer.bos_id], np.uint16), tokens]))
    writer.close()
    return TokenStream(writer.paths)


@pytest.fixture(scope="module")
def trained():
    return SentencePieceTokenizer(train_sentencepiece(documents(), 310), "sp310", "it", lossless=True)


def test_counted_bytes_are_decoded_bytes_for_every_document(tmp_path, trained):
    texts = documents(20) + NASTY
    stream = stream_of(tmp_path, trained, texts, shard_tokens=333)
    sources = [text_digest(text.encode()) for text in texts]
    proof = prove_bytes(stream, trained, trained.byte_table(), sources)
    assert proof.documents == len(texts)
    assert proof.tokens == len(stream)
    assert proof.decoded_bytes == proof.target_bytes == sum(len(text.encode()) for text in texts)
    assert proof.documents_changed == 0


def test_a_wrong_byte_table_names_the_first_document_it_is_wrong_for(tmp_path):
    tokenizer = ByteTokenizer()
    table = tokenizer.byte_table()
    wrong = table.base_bytes.copy()
    wrong[ord("z") + 4] = 3
    stream = stream_of(tmp_path, tokenizer, ["abc", "defg", "jazz up"])
    with pytest.raises(InputError, match=r"document 2 .* 11 counted, 7 decoded; it is at token 9 and starts 'jazz up'"):
        prove_bytes(stream, tokenizer, replace(table, base_bytes=wrong))


def test_a_space_counted_twice_is_found(tmp_path, trained):
    table = trained.byte_table()
    twice = replace(table, base_bytes=table.base_bytes + table.leading_space.astype(np.int16))
    with pytest.raises(InputError, match="document 0 do not add up"):
        prove_bytes(stream_of(tmp_path, trained, documents(3)), trained, twice)


def test_a_document_that_a_normalizing_tokenizer_changes_is_counted(tmp_path):
    tokenizer = ByteTokenizer()
    tokenizer.lossless = False
    stream = stream_of(tmp_path, tokenizer, ["abc", "defg"])
    sources = [text_digest(b"abc"), text_digest(b"something else")]
    assert prove_bytes(stream, tokenizer, tokenizer.byte_table(), sources).documents_changed == 1


def test_a_document_that_a_lossless_tokenizer_changes_stops_the_run(tmp_path):
    tokenizer = ByteTokenizer()
    stream = stream_of(tmp_path, tokenizer, ["abc", "defg"])
    sources = [text_digest(b"abc"), text_digest(b"something else")]
    with pytest.raises(InputError, match="changes validation document 1, which starts 'defg'"):
        prove_bytes(stream, tokenizer, tokenizer.byte_table(), sources)


def test_documents_split_at_bos_across_chunks_and_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("golfreg.data.shards._CHUNK", 7)
    tokenizer = ByteTokenizer()
    texts = ["a" * n for n in (1, 5, 6, 7, 8, 30, 0, 2)]
    stream = stream_of(tmp_path, tokenizer, texts, shard_tokens=11)
    split = list(split_documents(stream, 1))
    assert [len(d) - 1 for d in split] == [len(t) for t in texts]
    assert all(d[0] == 1 for d in split)
    assert len(list(split_documents(stream, None))) == 1


def test_a_first_document_without_bos_is_a_document_whose_first_token_is_no_target(tmp_path):
    writer = ShardWriter(tmp_path, "validation")
    writer.append(np.frombuffer(b"abc", np.uint8) + np.uint16(4))
    writer.append(np.array([1, ord("d") + 4]))
    writer.close()
    proof = prove_bytes(TokenStream(writer.paths), ByteTokenizer(), ByteTokenizer().byte_table())
    assert (proof.documents, proof.decoded_bytes, proof.target_bytes) == (2, 4, 3)
