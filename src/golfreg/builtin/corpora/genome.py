"""The corpus ``genome:PATH[,PATH...]``: FASTA files, one byte a base, also compressed with xz or gzip.

What is scored is the sequence alone: names and line ends are no part of it. Options follow after ``;``:

``validation=PATH[,PATH...]``
    Files of the validation records. Without them one document in twenty, by the hash of its bases.
``document=BASES``
    Longer records are cut into documents of this many bases (16384); the last one is shorter.
``case=upper`` or ``case=keep``
    Lower-case bases are repeats that a program masked, an annotation and not sequence: ``upper``, the
    default, writes them as capitals. ``keep`` scores the annotation too.
``n=split`` or ``n=keep``
    ``N`` is a base that nobody read. ``split``, the default, leaves each run of them out and starts
    a new document after it; ``keep`` scores them. Other ambiguity codes always stay.

The documents of a record, one after another, are its bases: all of them, in order, changed in no
other way than these options say. How many were changed or left out is in the notes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from golfreg.api import ConfigError, Documents, InputError
from golfreg.builtin.corpora.files import DAMAGED, check_files, open_file, paths_in

MAX_HEADER_BYTES = 1 << 20
"""A longer record name is an error: it is never read as a whole."""

_CHUNK = 1 << 20
_VALIDATION_ONE_IN = 20
_LETTERS = b"ACGTUNRYSWKMBDHV"
"""Nucleotides, and the codes for one of several (Cornish-Bowden 1985, doi 10.1093/nar/13.9.3021)."""
_ALLOWED = _LETTERS + _LETTERS.lower()
_RUN_OF_N = re.compile(rb"[Nn]+")
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_FORM = "write `genome:PATH[,PATH...]`, then any of `;validation=PATH`, `;document=16384`, `;case=keep`, `;n=keep`"


@dataclass(frozen=True)
class Options:
    """What an argument says. ``document``: bases of the longest document."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    document: int = 16_384
    case: str = "upper"
    n: str = "split"


@dataclass
class Counts:
    """What a pass over the files saw."""

    records: int = 0
    bases: int = 0
    lower: int = 0
    n: int = 0
    documents: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


class Genome:
    """Documents of bases, read as a stream: any size, one document in memory."""

    def load(self, argument: str | None, cache_dir: Path) -> Documents:
        options = parse_argument(argument)
        counts = Counts()
        for paths in (options.train, options.validation):
            for text in documents(paths, options, counts):
                counts.documents += 1
                counts.digest.update(len(text).to_bytes(8, "little") + text.encode())
            counts.digest.update(b"|")
        if not counts.documents:
            raise InputError(f"`{options.train[0]}` holds no bases", hint=_FORM)
        notes = {
            "files": ", ".join(path.name for path in (*options.train, *options.validation)),
            "records": str(counts.records),
            "bases": str(counts.bases),
            "documents": f"{counts.documents}, of at most {options.document} bases",
            "lower_case": f"{counts.lower} bases" + (", written as capitals" if options.case == "upper" else ", kept"),
            "unread_n": f"{counts.n} bases" + (", left out" if options.n == "split" else ", kept"),
        }
        if options.validation:
            notes["validation_files"] = ", ".join(path.name for path in options.validation)
            opened = _reader(options.train, options, None), _reader(options.validation, options, None)
        else:
            notes["validation"] = f"one document in {_VALIDATION_ONE_IN} by hash"
            opened = _reader(options.train, options, False), _reader(options.train, options, True)
        return Documents(*opened, counts.digest.hexdigest(), "as the files' owner says", notes)


def parse_argument(argument: str | None) -> Options:
    """The files, each of which exists, and the options."""
    if not argument:
        raise ConfigError("the corpus `genome` needs a file", hint=_FORM)
    first, *rest = [argument] if os.path.exists(argument) else argument.split(";")
    given: dict[str, str] = {}
    for part in rest:
        key, mark, value = part.partition("=")
        if not mark or key not in ("validation", "document", "case", "n") or key in given:
            raise ConfigError(f"the corpus `genome` does not know `{part}`", hint=_FORM)
        given[key] = value
    document = given.get("document", str(Options.document))
    if not re.fullmatch(r"[0-9]{1,8}", document) or not 256 <= int(document) <= 1 << 23:
        raise ConfigError(f"the corpus `genome` has `document={document}`", hint="from 256 to 8388608 bases")
    for key, known in (("case", ("upper", "keep")), ("n", ("split", "keep"))):
        if given.get(key, known[0]) not in known:
            raise ConfigError(f"the corpus `genome` has `{key}={given[key]}`", hint=f"`{key}` is {' or '.join(known)}")
    train = tuple(paths_in(first))
    validation = tuple(paths_in(given["validation"])) if "validation" in given else ()
    check_files([*train, *validation], _FORM)
    return Options(train, validation, int(document), given.get("case", Options.case), given.get("n", Options.n))


def documents(paths: tuple[Path, ...], options: Options, counts: Counts | None = None) -> Iterator[str]:
    """The documents of FASTA files, in order. ``InputError`` names the file and the line."""
    counts = counts or Counts()
    for path in paths:
        waiting = bytearray()
        for piece in read_fasta(path):
            if piece is None:  # A new record.
                counts.records += 1
                if waiting:
                    yield waiting.decode("ascii")
                    waiting.clear()
                continue
            counts.bases += len(piece)
            counts.lower += len(piece) - len(piece.translate(None, _LOWER))
            counts.n += piece.count(b"N") + piece.count(b"n")
            if options.case == "upper":
                piece = piece.upper()
            # A piece that starts or ends with N has an empty part there, and what waits ends at it.
            for i, part in enumerate(_RUN_OF_N.split(piece) if options.n == "split" else (piece,)):
                if i and waiting:
                    yield waiting.decode("ascii")
                    waiting.clear()
                waiting += part
                start = 0
                while len(waiting) - start > options.document:
                    yield waiting[start : start + options.document].decode("ascii")
                    start += options.document
                del waiting[:start]
        if waiting:
            yield waiting.decode("ascii")


def read_fasta(path: Path) -> Iterator[bytes | None]:
    """None where a record starts, then its bases in pieces of at most a megabyte, without line ends."""
    line, in_name, at_line_start, any_record = 1, False, True, False
    name_bytes = 0
    try:
        with open_file(path) as file:
            while chunk := file.read(_CHUNK):
                for text in chunk.splitlines(keepends=True) if b">" in chunk or in_name else (chunk,):
                    # Either one line, or many of bases alone.
                    if at_line_start and text.startswith(b">"):
                        in_name, any_record, name_bytes = True, True, 0
                        yield None
                    if in_name:
                        name_bytes += len(text)
                        if name_bytes > MAX_HEADER_BYTES:
                            raise InputError(
                                f"the name in line {line:,} of `{path}` is over {MAX_HEADER_BYTES:,} bytes"
                            )
                    else:
                        bases = text.translate(None, b"\r\n")
                        _check(bases, text, path, line, any_record)
                        if bases:
                            yield bases
                    at_line_start = text.endswith(b"\n")
                    in_name = in_name and not at_line_start
                    line += text.count(b"\n")
    except DAMAGED as error:
        raise InputError(
            f"the compressed file `{path}` is cut short or damaged after line {line:,}: {error}",
            hint="copy or download it again",
        ) from error
    except OSError as error:
        raise InputError(f"cannot read `{path}` after line {line:,}: {error.strerror or error}") from error
    if not any_record:
        raise InputError(f"`{path}` is empty", hint="a FASTA file has lines `>name`, each followed by its bases")


def _check(bases: bytes, text: bytes, path: Path, line: int, any_record: bool) -> None:
    if bases and not any_record:
        raise InputError(
            f"`{path}` is not FASTA: line {line:,} starts with {chr(bases[0])!r}, not `>`",
            hint="a FASTA file has lines `>name`, each followed by its bases",
        )
    if odd := bases.translate(None, _ALLOWED):
        line += text[: text.index(odd[:1])].count(b"\n")
        raise InputError(
            f"line {line:,} of `{path}` holds {chr(odd[0])!r}, which is no nucleotide",
            hint=f"letters are {_LETTERS.decode()} and their lower case; protein is no genome",
        )


def _reader(paths: tuple[Path, ...], options: Options, validation: bool | None) -> Callable[[], Iterator[str]]:
    """Opens an iterator over one side of the split; None: over everything."""

    def read() -> Iterator[str]:
        for text in documents(paths, options):
            if validation is None or _is_validation(text) == validation:
                yield text

    return read


def _is_validation(text: str) -> bool:
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % _VALIDATION_ONE_IN == 0


genome = Genome()
