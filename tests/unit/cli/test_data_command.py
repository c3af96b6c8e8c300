"""``golfreg data``: what it makes, what it prints, and what it loads."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from golfreg.api import ConfigError, InputError, UnknownComponentError
from golfreg.cli.data import app


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLFREG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": f"document {i} [bold]"}) + "\n" for i in range(200)))
    return f"jsonl:{path}"


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_prepare_prints_the_counts_and_the_proof(text):
    out = call("prepare", "--corpus", text, "--tokenizer", "bytes")
    assert "prepared\n" in out
    assert "equal, document by document" in out
    assert "prepared before" in call("prepare", "--corpus", text, "--tokenizer", "bytes")


def test_prepare_writes_shards_where_it_is_told_and_they_can_be_prepared_again(text, tmp_path):
    made = json.loads(call("prepare", "--corpus", text, "--tokenizer", "bytes", "--out", f"{tmp_path}/o", "--json"))
    assert (tmp_path / "o" / "train_000000.bin").exists()
    assert made["path"] == f"{tmp_path}/o"
    again = json.loads(call("prepare", "--corpus", f"shards:{tmp_path}/o", "--json"))
    assert again["fingerprint"] == made["fingerprint"]
    assert not again["reused"]
    assert "decode to their source" not in call("prepare", "--corpus", f"shards:{tmp_path}/o")


def test_prepare_overwrites_nothing(text, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        call("prepare", "--corpus", text, "--out", str(tmp_path / "o"))
    assert (tmp_path / "o" / "mine").read_text() == "x"


def test_list_shows_what_was_prepared_and_warns_of_what_is_damaged(text, tmp_path, monkeypatch):
    # A plugin's corpora that can be fetched are listed whether they are here or not.
    monkeypatch.setattr("golfreg.cli.fetch.stocks", lambda out, place: iter(()))
    assert json.loads(call("list", "--json"))["datasets"] == []
    assert call("list") == ""
    made = json.loads(call("prepare", "--corpus", text, "--tokenizer", "bytes", "--json"))
    (tmp_path / "cache" / "datasets" / "broken").mkdir()
    (found,) = json.loads(call("list", "--json"))["datasets"]
    assert found["path"] == made["path"]
    assert found["disk_bytes"] > 0
    assert text in call("list")


def test_an_unknown_corpus_and_tokenizer_are_clear_errors(text):
    with pytest.raises(UnknownComponentError, match="`jsonlines`"):
        call("prepare", "--corpus", "jsonlines:x")
    with pytest.raises(ConfigError, match="no corpus is named"):
        call("prepare", "--corpus", "")
    with pytest.raises(InputError, match="cannot read the tokenizer `foo`"):
        call("prepare", "--corpus", text, "--tokenizer", "foo")


def test_help_has_examples_and_loads_neither_torch_nor_numpy():
    code = (
        "import sys\nfrom golfreg.cli.data import app\n"
        "try:\n    app(['prepare', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'numpy', 'sentencepiece') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "golfreg data prepare --corpus docstrings" in out
    assert out.endswith("[]\n")
