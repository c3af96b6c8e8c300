"""The hub through huggingface_hub: what a repository holds, and one file after another, with patience."""

from __future__ import annotations

import email.utils
import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import logging
from huggingface_hub.utils.tqdm import tqdm

from golfreg.api import EnvironmentFault, GolfregError, InputError

ATTEMPTS = 6
LONGEST_WAIT = 300.0
"""A hub that asks for more patience than this many seconds is given up."""

_PATHS_A_CALL = 100
_TIMEOUT = 30.0
_AGAIN = "give the same command again later: it goes on where it stopped"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Remote:
    """A file of a repository. ``sha256``: of its content, or empty; then ``git_sha1`` is that of its git blob."""

    path: str
    size: int
    sha256: str
    git_sha1: str


class Hub:
    """``say``: called with what goes wrong and is tried again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        if "HF_HUB_VERBOSITY" not in os.environ:
            # What is tried again is said here, once.
            logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self.endpoint = os.environ.get("HF_ENDPOINT") or None
        self.api = HfApi(endpoint=self.endpoint)
        self.say = say

    def commit(self, repository: str) -> str:
        """The newest commit."""
        info = self._patiently(
            f"`{repository}`", lambda: self.api.dataset_info(repository, timeout=_TIMEOUT, expand=["sha"])
        )
        if not info.sha:
            raise InputError(f"the hub names no commit of `{repository}`")
        return str(info.sha)

    def files(self, repository: str, commit: str, paths: Iterable[str]) -> dict[str, Remote]:
        """Size and digest of those of the files that exist."""
        wanted = list(paths)
        found: dict[str, Remote] = {}
        for start in range(0, len(wanted), _PATHS_A_CALL):
            some = wanted[start : start + _PATHS_A_CALL]
            entries = self._patiently(f"`{repository}`", partial(self._paths_info, repository, commit, some))
            for entry in entries:
                if isinstance(entry, RepoFile):
                    digest = entry.lfs.sha256 if entry.lfs is not None else ""
                    found[entry.path] = Remote(entry.path, entry.size, digest, entry.blob_id)
        return found

    def _paths_info(self, repository: str, commit: str, paths: list[str]) -> list[Any]:
        return list(self.api.get_paths_info(repository, paths, repo_type="dataset", revision=commit))

    def download(self, repository: str, commit: str, path: str, staging: Path, show: Callable[[int], None]) -> Path:
        """Bring one file into ``staging``, going on where an earlier call stopped. ``show``: bytes of it so far."""
        # The library knows a file that it has by commit and path alone.
        place = staging / repository.replace("/", "--")

        class Bar(tqdm):
            """Tells how far the file is instead of drawing it."""

            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]
                self.reached = int(options.get("initial") or 0)

            def update(self, n: float | None = 1) -> None:
                self.reached += int(n or 0)
                show(self.reached)

        return self._patiently(
            f"`{path}`",
            lambda: Path(
                hf_hub_download(
                    repository, path, repo_type="dataset", revision=commit, local_dir=place,
                    endpoint=self.endpoint, tqdm_class=Bar,
                )
            ),
            staging,
        )  # fmt: skip

    def _patiently(self, what: str, call: Callable[[], _T], staging: Path | None = None) -> _T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except GolfregError:
                raise
            except Exception as error:
                wait = seconds_to_wait(error, attempt)
                if _is_wrong_size(error) and staging is not None:
                    discard_partial(staging)
                if wait is None or attempt == ATTEMPTS:
                    raise explained(error, what) from error
                self.say(f"{what}: {_short(error)}; again in {wait:.0f} s")
                time.sleep(wait)
        raise AssertionError("unreachable")


def seconds_to_wait(error: Exception, attempt: int) -> float | None:
    """How long to wait before the next attempt; None where another would not help."""
    error = _root(error)
    patience = float(min(2 ** (attempt - 1), 30))
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status not in (408, 425, 429) and status < 500:
            return None
        asked = _retry_after(error.response)
        return max(patience, asked) if asked <= LONGEST_WAIT else None
    if isinstance(error, httpx.TransportError | RuntimeError) or _is_wrong_size(error):
        # hf_xet reports what goes wrong on the network as a RuntimeError.
        return patience
    return None


def discard_partial(staging: Path) -> None:
    """Forget the parts of files: one that grew beyond its size can never be completed."""
    for path in staging.rglob("*.incomplete"):
        path.unlink(missing_ok=True)


def explained(error: Exception, what: str) -> GolfregError:
    """The error as one that a user can act on."""
    error = _root(error)
    if isinstance(error, OfflineModeIsEnabled):
        return EnvironmentFault(
            f"{what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it", "unset HF_HUB_OFFLINE"
        )
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError | EntryNotFoundError):
        names = ((RepositoryNotFoundError, "repository"), (RevisionNotFoundError, "commit"))
        kind = next((name for each, name in names if isinstance(error, each)), "file")
        return InputError(f"the hub has no such {kind}: {what}", "another export: `fineweb:VARIANT@OWNER/REPOSITORY`")
    if isinstance(error, HfHubHTTPError):
        asked = _retry_after(error.response)
        wants = f" and asks to wait {asked:.0f} s" if asked else ""
        return EnvironmentFault(f"the hub answers {error.response.status_code} for {what}{wants}", _AGAIN)
    if isinstance(error, httpx.TransportError | RuntimeError):
        return EnvironmentFault(f"the hub cannot be reached for {what}: {_short(error)}", _AGAIN)
    if _is_wrong_size(error):
        return InputError(f"{what} came with another size than the hub says, {ATTEMPTS} times", _AGAIN)
    if isinstance(error, OSError) and error.errno is not None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        return EnvironmentFault(
            f"cannot write {what} to `{error.filename or 'the cache'}`: {error.strerror}",
            f"{'free some space' if full else 'is the cache yours to write?'}, or set GOLFREG_CACHE; {_AGAIN}",
        )
    return EnvironmentFault(f"{what} cannot be fetched: {_short(error)}", _AGAIN)


def _root(error: Exception) -> Exception:
    """huggingface_hub hides what happened behind "not found locally"."""
    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _is_wrong_size(error: Exception) -> bool:
    """huggingface_hub's check of a file's size, or a part that is longer than the whole."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code == 416
    return isinstance(error, OSError) and error.errno is None and "onsistency check" in str(error)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the header asks for; 0 where it does not."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
