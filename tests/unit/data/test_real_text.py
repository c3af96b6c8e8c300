"""Real web text with the challenge's tokenizer: the counts that anyone can check."""

import json
from pathlib import Path

import pytest

from golfreg.api import Documents
from golfreg.config.spec import DataSettings
from golfreg.data.prepare import prepare

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
TEXT = DATA / "text" / "fineweb_eval.jsonl"


def fineweb():
    return [json.loads(line)["text"] for line in TEXT.read_text("utf-8").split("\n") if line]


pytestmark = pytest.mark.skipif(not TEXT.exists(), reason="the FineWeb sample is not on this machine")


@pytest.mark.parametrize(
    ("model", "tokens"), [("fineweb_1024_bpe.derived.model", 751_931), ("fineweb_8192_bpe.model", 498_989)]
)
def test_counted_bytes_are_decoded_bytes_on_fineweb(tmp_path, model, tokens):
    texts = fineweb()
    corpus = Documents(lambda: iter(["training text"]), lambda: iter(texts), "0", "ODC-By-1.0")
    settings = DataSettings(tokenizer=str(DATA / "tokenizers" / model))
    dataset, _ = prepare(lambda: corpus, "fineweb", settings, tmp_path / "d", lambda done, text: None)
    assert dataset.validation_documents == 361
    assert dataset.validation_token_count == tokens
    assert dataset.validation_bytes == 1_835_209
    assert dataset.validation_source_bytes == 1_835_214
    stream = dataset.validation_tokens()
    assert dataset.byte_table.count(stream[:-1], stream[1:]).sum() == 1_835_209


def test_a_tokenizer_trained_here_changes_no_document_of_fineweb(tmp_path):
    texts = fineweb()
    corpus = Documents(lambda: iter(texts[:50]), lambda: iter(texts[50:]), "0", "ODC-By-1.0")
    settings = DataSettings(tokenizer="sp1024")
    dataset, _ = prepare(lambda: corpus, "fineweb", settings, tmp_path / "d", lambda done, text: None)
    assert dataset.validation_documents_changed == 0
    assert dataset.validation_bytes == dataset.validation_source_bytes
