"""What of an export is on this machine: ``fetched.json`` beside the files, written after each of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from golfreg.api import InputError, Stock
from golfreg_fineweb.names import shard

STATE_FILE = "fetched.json"
SCHEMA = 1
BYTES = "bytes"
"""The tokenizer of an export of bytes, which has no model."""

_MOST_STATE_BYTES = 16 << 20
_REMAKE = "remove the directory and fetch it again"


@dataclass
class State:
    """An export as its manifest describes it, and the files that were verified.

    ``files``: name to (bytes, SHA-256). ``tokenizer``: name of the model file, or ``bytes``.
    ``validation_tokens``: 0 where the manifest does not say.
    """

    repository: str
    commit: str
    root: str
    train_shards: int
    validation_shards: int
    shard_tokens: int
    validation_tokens: int
    tokenizer: str
    tokenizer_path: str
    vocab_size: int
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def shard_bytes(self) -> int:
        """Bytes of a full shard."""
        return 1024 + 2 * self.shard_tokens

    def needed(self, parts: int) -> list[str]:
        """Names of the files for so many training shards: what is small and what is scored first."""
        tokenizer = [] if self.tokenizer == BYTES else [self.tokenizer]
        validation = [shard("val", i) for i in range(self.validation_shards)]
        return [*tokenizer, *validation, *(shard("train", i) for i in range(parts))]


def read_state(directory: Path) -> State | None:
    """The state of a directory; None where nothing was fetched."""
    path = directory / STATE_FILE
    try:
        if path.stat().st_size > _MOST_STATE_BYTES:
            raise InputError(f"`{path}` is too large", hint=_REMAKE)
        values = json.loads(path.read_bytes())
        files = {str(k): (int(size), str(digest)) for k, (size, digest) in values.pop("files").items()}
        state = State(**values, files=files)
        numbers = (state.train_shards, state.validation_shards, state.shard_tokens, state.vocab_size, state.schema)
        texts = (state.repository, state.commit, state.root, state.tokenizer, state.tokenizer_path, *files)
        plain = all(type(n) is int for n in numbers) and all(isinstance(t, str) for t in texts)
        if not plain or state.schema != SCHEMA or any("/" in name for name in (*files, state.tokenizer)):
            raise ValueError("it is not of this version")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"`{path}` is damaged: {error}", hint=_REMAKE) from error
    return state


def state_bytes(state: State) -> bytes:
    """What ``fetched.json`` holds."""
    return (json.dumps(asdict(state), indent=1) + "\n").encode()


def is_here(directory: Path, state: State, name: str) -> bool:
    """Whether a file was verified and still has its size."""
    facts = state.files.get(name)
    try:
        return facts is not None and (directory / name).stat().st_size == facts[0]
    except OSError:
        return False


def parts_here(directory: Path, state: State) -> int:
    """Training shards without a gap from the first on."""
    count = 0
    while count < state.train_shards and is_here(directory, state, shard("train", count)):
        count += 1
    return count


def stock_of(argument: str, directory: Path, state: State) -> Stock:
    """What is here, in the words of golfreg."""
    parts = parts_here(directory, state)
    names = state.needed(parts)
    whole = parts > 0 and all(is_here(directory, state, name) for name in names)
    digest = hashlib.sha256("".join(f"{n} {state.files[n][1]}\n" for n in names).encode()) if whole else None
    present = sum(size for name, (size, _) in state.files.items() if is_here(directory, state, name))
    fingerprint = digest.hexdigest() if digest else ""
    return Stock(argument, parts, state.train_shards, state.shard_bytes, present, fingerprint)
