"""Fetches an export: what is missing, checked before, verified after, renamed into place one by one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golfreg.api import ConfigError, EnvironmentFault, InputError, Stock
from golfreg_fineweb.here import BYTES, STATE_FILE, State, is_here, parts_here, read_state, state_bytes, stock_of
from golfreg_fineweb.hub import Hub, Remote, discard_partial
from golfreg_fineweb.manifest import MAX_BYTES, check_byte_tokenizer, read_manifest, variants_in
from golfreg_fineweb.names import Source, shard
from golfreg_fineweb.verify import check_model, check_shard, check_validation, digests

DEFAULT_PARTS = 10
MARGIN_BYTES = 64 << 20
"""Kept free on the disk."""

_STAGING = ".partial"
_TRIES = 3
_MOST_MODEL_BYTES = 64 << 20

Tell = Callable[[int, int, str], None]


def fetch(source: Source, directory: Path, parts: int | None, tell: Tell) -> Stock:
    """See ``golfreg.api.protocols.FetchableCorpus.fetch``."""
    if parts is not None and parts < 1:
        raise ConfigError(f"{parts} training shards cannot be fetched", hint="at least 1")
    state = read_state(directory)
    if state is not None and _is_complete(directory, state, parts):
        return stock_of(source.argument, directory, state)
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory, lambda: tell(0, 0, "waiting for another process that fetches the same data")):
        return _fetch(source, directory, parts, tell)


def _fetch(source: Source, directory: Path, parts: int | None, tell: Tell) -> Stock:
    staging = directory / _STAGING
    hub = Hub(lambda text: tell(0, 0, text))
    state = read_state(directory) or _find(source, staging, hub, tell)
    wanted = _wanted(directory, state, parts)
    if wanted > state.train_shards:
        raise InputError(
            f"`{state.repository}` has {state.train_shards:,} training shards of `{source.variant}`, not {wanted:,}",
            f"`golfreg data get fineweb:{source.argument} --train-shards {state.train_shards}`",
        )
    if state.tokenizer == BYTES and not state.files:
        _check_bytes(state, staging, hub)
    missing = [name for name in state.needed(wanted) if not is_here(directory, state, name)]
    remotes = _look_up(source, state, missing, hub)
    total = sum(remote.size for remote in remotes.values())
    _check_space(directory, total - _staged_bytes(staging))
    done = 0
    for number, name in enumerate(missing, 1):
        remote = remotes[name]

        def show(reached: int, done: int = done, number: int = number, name: str = name) -> None:
            tell(done + reached, total, f"{name} ({number} of {len(missing)})")

        show(0)
        sha256 = _bring(state, remote, name, directory, staging, hub, show)
        state.files[name] = (remote.size, sha256)
        if name == shard("val", state.validation_shards - 1):
            _check_validation(directory, state)
        _write_state(directory, state)
        done += remote.size
    shutil.rmtree(staging, ignore_errors=True)
    tell(total, total, "done")
    return stock_of(source.argument, directory, state)


def _find(source: Source, staging: Path, hub: Hub, tell: Tell) -> State:
    """The first repository whose manifest lists the variant, at its newest commit: all files come from that one."""
    looked = []
    path = f"{source.root}/manifest.json"
    for repository in source.repositories:
        tell(0, 0, f"reading the manifest of {repository}")
        try:
            commit = hub.commit(repository)
            data = _small_file(hub, repository, commit, path, staging, MAX_BYTES)
        except InputError as error:
            if len(source.repositories) == 1:
                raise
            looked.append(error.message)
            continue
        state = read_manifest(data, source, repository, commit)
        if state is not None:
            return state
        looked.append(f"`{repository}` has {', '.join(variants_in(data)) or 'none'}")
    raise InputError(
        f"the variant `{source.variant}` is not published: {'; '.join(looked)}",
        "another export: `fineweb:VARIANT@OWNER/REPOSITORY`",
    )


def _look_up(source: Source, state: State, names: list[str], hub: Hub) -> dict[str, Remote]:
    """Size and digest of each file, plausible, or ``InputError`` for the first that is not."""
    places = {
        name: f"{state.root}/{state.tokenizer_path}" if name == state.tokenizer
        else f"{state.root}/datasets/{source.dataset}/{name}"
        for name in names
    }  # fmt: skip
    found = hub.files(state.repository, state.commit, places.values()) if places else {}
    for name, path in places.items():
        if path not in found:
            raise InputError(
                f"the manifest of `{state.repository}` promises `{path}`, which is not there",
                "ask for fewer shards with `--train-shards`, or another export: `fineweb:VARIANT@OWNER/REPOSITORY`",
            )
        size = found[path].size
        full = name.startswith("fineweb_train_") and name != shard("train", state.train_shards - 1)
        most = _MOST_MODEL_BYTES if name == state.tokenizer else state.shard_bytes
        if size > most or (full and size != most):
            raise InputError(
                f"`{path}` has {size:,} bytes on the hub; by its manifest {'it has' if full else 'at most'} {most:,}"
            )
    return {name: found[path] for name, path in places.items()}


def _bring(
    state: State, remote: Remote, name: str, directory: Path, staging: Path, hub: Hub, show: Callable[[int], None]
) -> str:
    """One file, verified and in place; its SHA-256. Wrong content is fetched again, and refused in the end."""
    fault = ""
    for _ in range(_TRIES):
        path = hub.download(state.repository, state.commit, remote.path, staging, show)
        size, (sha256, git_sha1) = path.stat().st_size, digests(path)
        if size != remote.size:
            fault = f"it has {size:,} bytes, not {remote.size:,}"
        elif remote.sha256 and sha256 != remote.sha256:
            fault = f"its SHA-256 is {sha256[:16]}..., not {remote.sha256[:16]}..."
        elif not remote.sha256 and git_sha1 != remote.git_sha1:
            fault = f"its git digest is {git_sha1[:16]}..., not {remote.git_sha1[:16]}..."
        else:
            if name == state.tokenizer:
                check_model(path, state.vocab_size, f"`{remote.path}`")
            else:
                check_shard(path, f"`{remote.path}`")
            with path.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(path, directory / name)
            return sha256
        hub.say(f"`{name}`: {fault}; again")
        path.unlink(missing_ok=True)
        discard_partial(staging)
    raise InputError(
        f"`{remote.path}` is not what `{state.repository}` says: {fault}",
        "nothing of it was kept; give the same command again, or look at the network in between",
    )


def _check_validation(directory: Path, state: State) -> None:
    """With its last shard here: the whole split is what the manifest says, or none of it is kept."""
    names = [shard("val", i) for i in range(state.validation_shards)]
    try:
        check_validation([directory / name for name in names], state.validation_tokens)
    except InputError:
        for name in names:
            state.files.pop(name, None)
            (directory / name).unlink(missing_ok=True)
        _write_state(directory, state)
        raise


def _check_bytes(state: State, staging: Path, hub: Hub) -> None:
    path = f"{state.root}/{state.tokenizer_path}"
    data = _small_file(hub, state.repository, state.commit, path, staging, MAX_BYTES)
    check_byte_tokenizer(data, f"`{path}`")


def _small_file(hub: Hub, repository: str, commit: str, path: str, staging: Path, most: int) -> bytes:
    found = hub.files(repository, commit, [path]).get(path)
    if found is None or found.size > most:
        what = "is not there" if found is None else f"has {found.size:,} bytes"
        raise InputError(
            f"`{path}` of `{repository}` {what}", "an export has `ROOT/manifest.json`, as the challenge's has"
        )
    return hub.download(repository, commit, path, staging, lambda reached: None).read_bytes()


def _is_complete(directory: Path, state: State, parts: int | None) -> bool:
    wanted = _wanted(directory, state, parts)
    return wanted <= state.train_shards and all(is_here(directory, state, name) for name in state.needed(wanted))


def _wanted(directory: Path, state: State, parts: int | None) -> int:
    """Training shards: those asked for, or the default where there are so many; never fewer than are here."""
    here = parts_here(directory, state)
    return max(here, parts) if parts is not None else max(here, min(DEFAULT_PARTS, state.train_shards))


def _check_space(directory: Path, missing_bytes: int) -> None:
    free = shutil.disk_usage(directory).free
    if missing_bytes + MARGIN_BYTES > free:
        raise EnvironmentFault(
            f"{missing_bytes + MARGIN_BYTES:,} bytes are needed in `{directory}`, and {free:,} are free",
            "free some space, ask for fewer shards with `--train-shards`, or set GOLFREG_CACHE to another disk",
        )


def _staged_bytes(staging: Path) -> int:
    return sum(p.stat().st_size for p in staging.rglob("*.incomplete")) if staging.is_dir() else 0


def _write_state(directory: Path, state: State) -> None:
    temporary = directory / f".{STATE_FILE}.tmp"
    with temporary.open("wb") as file:
        file.write(state_bytes(state))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, directory / STATE_FILE)


@contextmanager
def _alone(directory: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the directory's lock, which ends with this process however it ends."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
