"""The corpus ``genome``: all bases in order, options, and clear errors for files that are no genome."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import random
from pathlib import Path

import pytest

from golfreg.api import ConfigError, GolfregError, InputError
from golfreg.builtin.corpora import genome as module
from golfreg.builtin.corpora.genome import documents, genome, parse_argument, read_fasta


def bases(count: int, seed: int = 0, letters: str = "ACGT") -> str:
    return "".join(random.Random(seed).choices(letters, k=count))


def fasta(path: Path, *records: str, width: int = 60, end: str = "\n") -> Path:
    lines = []
    for number, sequence in enumerate(records):
        lines.append(f">record {number} of {path.name}")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    path.write_bytes((end.join(lines) + end).encode())
    return path


def every_document(argument: str) -> list[str]:
    options = parse_argument(argument)
    return list(documents(options.train, options))


@pytest.mark.parametrize("chunk", [1, 7, 61, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_documents_of_a_record_are_its_bases_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, end: str
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    first, second = bases(1000, 1), bases(300, 2)
    path = fasta(tmp_path / "two.fa", first, second, end=end)
    found = every_document(f"{path};document=256")
    assert [len(text) for text in found] == [256, 256, 256, 232, 256, 44]
    assert "".join(found[:4]) == first
    assert "".join(found[4:]) == second


def test_compressed_files_give_the_same_documents_and_fingerprint(tmp_path: Path) -> None:
    plain = fasta(tmp_path / "a.fa", bases(9000))
    for name, data in (("a.fa.gz", gzip.compress(plain.read_bytes())), ("a.fa.xz", lzma.compress(plain.read_bytes()))):
        (tmp_path / name).write_bytes(data)
    blocks = plain.read_bytes()
    (tmp_path / "blocks.gz").write_bytes(gzip.compress(blocks[:500]) + gzip.compress(blocks[500:]))
    loaded = [genome.load(f"{p};document=256", tmp_path) for p in sorted(tmp_path.iterdir())]
    assert len({corpus.fingerprint for corpus in loaded}) == 1
    assert len({tuple(corpus.validation()) for corpus in loaded}) == 1


def test_masked_bases_become_capitals_or_stay(tmp_path: Path) -> None:
    path = fasta(tmp_path / "m.fa", "ACGTacgtRYkm")
    assert every_document(str(path)) == ["ACGTACGTRYKM"]
    assert every_document(f"{path};case=keep") == ["ACGTacgtRYkm"]
    assert genome.load(str(path), tmp_path).notes["lower_case"] == "6 bases, written as capitals"


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_runs_of_n_cut_documents_or_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    path = fasta(tmp_path / "n.fa", "NNNNACGTNNnnNNACNGTNNN", "NNNN", "TT", width=5)
    assert every_document(str(path)) == ["ACGT", "AC", "GT", "TT"]
    assert every_document(f"{path};n=keep") == ["NNNNACGTNNNNNNACNGTNNN", "NNNN", "TT"]
    assert genome.load(str(path), tmp_path).notes["unread_n"] == "18 bases, left out"


def test_training_and_validation_hold_every_document_once(tmp_path: Path) -> None:
    path = fasta(tmp_path / "g.fa", bases(60_000))
    corpus = genome.load(f"{path};document=256", tmp_path)
    train, validation = list(corpus.train()), list(corpus.validation())
    assert sorted(train + validation) == sorted(every_document(f"{path};document=256"))
    assert 4 <= len(validation) <= 25
    assert not set(train) & set(validation)


def test_validation_files_are_kept_apart(tmp_path: Path) -> None:
    one, two = fasta(tmp_path / "1.fa", bases(500, 1)), fasta(tmp_path / "2.fa", bases(400, 2))
    corpus = genome.load(f"{one};validation={two}", tmp_path)
    assert list(corpus.train()) == [bases(500, 1)]
    assert list(corpus.validation()) == [bases(400, 2)]


def test_a_record_of_one_endless_line_is_read_in_pieces(tmp_path: Path) -> None:
    path = fasta(tmp_path / "long.fa", bases(1_200_000), width=10**9)
    pieces = [piece for piece in read_fasta(path) if piece]
    assert max(map(len, pieces)) <= 1 << 20
    assert b"".join(pieces).decode() == bases(1_200_000)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"ACGT\n", "not FASTA"),
        (b">only a name\n", "no bases"),
        (b">only a name", "no bases"),
        (b">a\nNNNN\n", "no bases"),
        (b">p\nMKVLAT\nPEPTIDE\n", "line 2"),
        (b">p\nACGT\nAC>GT\n", "line 3"),
        (b">a\nACGT\nAC\xff\x00GT\n", "line 3"),
        (b"\xff\xfe>\x00a\x00", "not FASTA"),
        (b">" + b"x" * ((1 << 20) + 1) + b"\nACGT\n", "name in line 1"),
        (gzip.compress(b">a\n" + b"ACGT" * 9999)[:-20], "cut short"),
        (lzma.compress(b">a\n" + b"ACGT" * 9999)[:40], "cut short"),
        (gzip.compress(b">a\n" + bases(9999).encode())[:900] + bytes(900), "damaged"),
    ],
    ids=[
        "empty", "blank", "no name", "no bases", "no line end", "only N", "protein", "name inside", "binary", "UTF-16",
        "long name", "cut gzip", "cut xz", "damaged gzip",
    ],
)  # fmt: skip
def test_a_file_that_is_no_genome_is_refused_with_its_line(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "odd.fa"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        genome.load(str(path), tmp_path)
    assert says in caught.value.message
    assert "odd.fa" in caught.value.message


@pytest.mark.parametrize(
    "option",
    ["case=lower", "n=drop", "document=12", "document=-1", "document=9e9", "document=", "nonsense=1", "case", "",
     "case=keep;case=keep", "validation=absent.fa", "validation="],
)  # fmt: skip
def test_an_option_that_does_not_exist_is_refused(tmp_path: Path, option: str) -> None:
    path = fasta(tmp_path / "g.fa", bases(500))
    with pytest.raises((ConfigError, InputError)) as caught:
        genome.load(f"{path};{option}", tmp_path)
    assert caught.value.hint


def test_random_bytes_never_give_anything_but_documents_or_an_error(tmp_path: Path) -> None:
    draw = random.Random(3)
    path = tmp_path / "fuzz.fa"
    for _ in range(300):
        data = bytearray(b">a\nACGTNN\n>b\r\nacgtRY\nNNAC\n" * 3)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.choice(b">\n\rACGTNn \x00\xff")
        path.write_bytes(bytes(data))
        with contextlib.suppress(GolfregError):
            for text in every_document(str(path)):
                assert set(text) <= set("ACGTRYBN")
