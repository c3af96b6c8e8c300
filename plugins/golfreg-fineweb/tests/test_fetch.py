"""Fetching from a stand-in hub: every fault ends in a success after a retry, or in one clear error and no half file."""

from __future__ import annotations

import errno
import hashlib
import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("golfreg_fineweb", reason="install it: pip install -e plugins/golfreg-fineweb")

from golfreg.api import ConfigError, EnvironmentFault, GolfregError, InputError, Stock
from golfreg_fineweb.corpus import fineweb

SP = "datasets/datasets/fineweb10B_sp1024/"
CHALLENGE = "willdepueoai/parameter-golf"


def get(cache: Path, parts: int | None = 2, argument: str = "sp1024") -> Stock:
    return fineweb.fetch(argument, cache, parts, lambda done, total, text: None)


def in_place(cache: Path, argument: str = "sp1024") -> dict[str, bytes]:
    directory = cache / "fineweb" / argument
    return {p.name: p.read_bytes() for p in directory.glob("fineweb_*")} if directory.is_dir() else {}


def expected(hub: Any, parts: int = 2) -> dict[str, bytes]:
    files = {path.rpartition("/")[2]: data for path, data in hub.repositories[CHALLENGE].items() if "sp1024" in path}
    return {n: d for n, d in files.items() if not n.startswith("fineweb_train") or int(n[14:20]) < parts}


def assert_whole(hub: Any, cache: Path, stock: Stock, parts: int = 2) -> None:
    assert in_place(cache) == expected(hub, parts)
    assert stock.parts == parts
    assert stock.present_bytes == sum(map(len, expected(hub, parts).values()))
    assert not list(cache.rglob("*.incomplete"))
    assert fineweb.load("sp1024", cache).fingerprint == stock.fingerprint


def assert_nothing_half(hub: Any, cache: Path) -> None:
    """Whatever is in place is what was published, and the corpus is not usable in parts."""
    published = expected(hub, 99)
    for name, data in in_place(cache).items():
        assert data == published[name]


def test_the_prefix_that_was_asked_for_comes_with_validation_and_tokenizer(hub: Any, tmp_path: Path) -> None:
    stock = get(tmp_path)
    assert_whole(hub, tmp_path, stock)
    assert stock.offered_parts == 3
    assert stock.part_bytes == 1024 + 2 * 3000
    corpus = fineweb.load("sp1024", tmp_path)
    assert [Path(p).name for p in corpus.train] == ["fineweb_train_000000.bin", "fineweb_train_000001.bin"]
    assert corpus.tokenizer == str(tmp_path / "fineweb/sp1024/fineweb_sp1024.model")
    assert corpus.notes["training_shards"] == "2 of 3"
    assert corpus.notes["repository"] == CHALLENGE


def test_more_shards_are_added_to_those_that_are_here_from_the_same_commit(hub: Any, tmp_path: Path) -> None:
    first = get(tmp_path, 1)
    hub.log.clear()
    second = get(tmp_path, 3)
    assert_whole(hub, tmp_path, second, 3)
    assert first.fingerprint != second.fingerprint
    bodies = {path.rpartition("/")[2] for method, path, _ in hub.log if method == "GET" and path.startswith("/cdn")}
    assert bodies == {"fineweb_train_000001.bin", "fineweb_train_000002.bin"}
    assert not any("manifest" in path for _, path, _ in hub.log)


def test_what_is_here_is_fetched_again_without_the_network(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = get(tmp_path)
    hub.log.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert get(tmp_path) == get(tmp_path, 1) == stock
    assert fineweb.load("sp1024", tmp_path).fingerprint == stock.fingerprint
    with pytest.raises(EnvironmentFault, match="HF_HUB_OFFLINE") as caught:
        get(tmp_path, 3)
    assert "unset" in (caught.value.hint or "")
    assert not hub.log


def test_without_a_number_ten_shards_or_all_there_are_come(hub: Any, tmp_path: Path) -> None:
    assert get(tmp_path, None).parts == 3


def test_progress_goes_up_to_the_bytes_that_were_missing(hub: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    stock = fineweb.fetch("sp1024", tmp_path, 2, lambda done, total, text: seen.append((done, total)))
    sized = [pair for pair in seen if pair[1]]
    assert sized == sorted(sized)
    assert sized[-1] == (stock.present_bytes, stock.present_bytes)


def test_the_byte_export_has_no_model(hub: Any, tmp_path: Path) -> None:
    stock = get(tmp_path, 1, "byte260")
    corpus = fineweb.load("byte260", tmp_path)
    assert corpus.tokenizer == "bytes"
    assert stock.fingerprint == corpus.fingerprint
    hub.repositories[CHALLENGE]["datasets/tokenizers/fineweb_pure_byte_260.json"] = b'{"config": {"pad_id": 7}}'
    with pytest.raises(InputError, match="byte tokenizer"):
        get(tmp_path / "other", 1, "byte260")


@pytest.mark.usefixtures("small_chunks")
def test_a_connection_cut_in_the_middle_of_a_file_goes_on_where_it_stopped(
    hub: Any, tmp_path: Path, waits: list[float]
) -> None:
    hub.faults["GET", "train_000000.bin"] = [{"cut": 2000}, {"cut": 1200}]
    stock = get(tmp_path)
    assert_whole(hub, tmp_path, stock)
    starts = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in hub.bodies("train_000000.bin")]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2]


@pytest.mark.usefixtures("small_chunks")
def test_a_connection_that_is_always_cut_is_an_error_and_the_next_call_goes_on(
    hub: Any, tmp_path: Path, waits: list[float]
) -> None:
    hub.faults["GET", "train_000001.bin"] = [{"cut": 700}] * 40
    with pytest.raises(EnvironmentFault, match="cannot be reached") as caught:
        get(tmp_path)
    assert "goes on where it stopped" in (caught.value.hint or "")
    assert "fineweb_train_000001.bin" not in in_place(tmp_path)
    assert_nothing_half(hub, tmp_path)
    hub.faults.clear()
    hub.log.clear()
    assert_whole(hub, tmp_path, get(tmp_path))
    assert hub.bodies("train_000000.bin") == []
    assert hub.bodies("train_000001.bin")[0].startswith("bytes=")


def test_wrong_content_of_the_right_size_is_fetched_again(hub: Any, tmp_path: Path, waits: list[float]) -> None:
    right = hub.repositories[CHALLENGE][SP + "fineweb_train_000000.bin"]
    hub.faults["GET", "train_000000.bin"] = [{"content": right[:-1] + bytes([right[-1] ^ 1])}]
    assert_whole(hub, tmp_path, get(tmp_path))


@pytest.mark.parametrize("name", ["fineweb_train_000000.bin", "fineweb_val_000000.bin", "fineweb_sp1024.model"])
def test_content_that_stays_wrong_is_refused(hub: Any, tmp_path: Path, waits: list[float], name: str) -> None:
    right = next(data for path, data in hub.repositories[CHALLENGE].items() if path.endswith(name))
    hub.faults["GET", name] = [{"content": right[:-1] + bytes([right[-1] ^ 1])}] * 20
    with pytest.raises(InputError, match="SHA-256") as caught:
        get(tmp_path)
    assert name in caught.value.message
    assert name not in in_place(tmp_path)
    assert_nothing_half(hub, tmp_path)


@pytest.mark.parametrize("change", [-2, 2, 5000])
def test_a_body_of_another_size_than_the_hub_says_is_refused_or_mended(
    hub: Any, tmp_path: Path, waits: list[float], change: int
) -> None:
    right = hub.repositories[CHALLENGE][SP + "fineweb_train_000000.bin"]
    wrong = right[:change] if change < 0 else right + bytes(change)
    hub.faults["GET", "train_000000.bin"] = [{"content": wrong}]
    assert_whole(hub, tmp_path / "mended", get(tmp_path / "mended"))
    hub.faults["GET", "train_000000.bin"] = [{"content": wrong}] * 40
    with pytest.raises(GolfregError) as caught:
        get(tmp_path)
    assert "size" in caught.value.message or "bytes" in caught.value.message
    assert "fineweb_train_000000.bin" not in in_place(tmp_path)


def test_a_hub_that_contradicts_itself_about_a_size_is_refused_before_anything_is_fetched(
    hub: Any, tmp_path: Path
) -> None:
    hub.sizes[SP + "fineweb_train_000000.bin"] = 1 << 40
    with pytest.raises(InputError, match="manifest"):
        get(tmp_path)
    assert not in_place(tmp_path)


def test_a_missing_shard_is_named_before_anything_is_fetched(hub: Any, tmp_path: Path) -> None:
    del hub.repositories[CHALLENGE][SP + "fineweb_train_000001.bin"]
    with pytest.raises(InputError, match=r"fineweb_train_000001\.bin") as caught:
        get(tmp_path)
    assert "--train-shards" in (caught.value.hint or "")
    assert not in_place(tmp_path)
    assert get(tmp_path, 1).parts == 1


def test_a_file_that_vanishes_between_the_listing_and_its_download_is_named(hub: Any, tmp_path: Path) -> None:
    gone = {"status": 404, "headers": {"X-Error-Code": "EntryNotFound"}}
    hub.faults["HEAD", "train_000001.bin"] = [gone] * 9
    with pytest.raises(InputError, match=r"no such file.*train_000001"):
        get(tmp_path)
    assert_nothing_half(hub, tmp_path)


@pytest.mark.parametrize(
    ("method", "end"),
    [("GET", "/api/datasets/" + CHALLENGE), ("POST", "/paths-info/0123456789abcdef0123456789abcdef01234567"),
     ("HEAD", "val_000000.bin"), ("GET", "val_000000.bin"), ("HEAD", "manifest.json")],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_busy_is_waited_for(
    hub: Any, tmp_path: Path, waits: list[float], method: str, end: str, status: int
) -> None:
    hub.faults[method, end] = [{"status": status, "headers": {"Retry-After": "7"}}] * 2
    assert_whole(hub, tmp_path, get(tmp_path))
    assert waits
    assert max(waits) <= 8


def test_retry_after_is_kept_where_the_library_does_not(hub: Any, tmp_path: Path, waits: list[float]) -> None:
    hub.faults["POST", "/paths-info/0123456789abcdef0123456789abcdef01234567"] = [
        {"status": 429, "headers": {"Retry-After": "42"}}
    ]
    get(tmp_path)
    assert 42.0 in waits


@pytest.mark.parametrize("status", [429, 500])
def test_a_hub_that_stays_busy_is_one_clear_error(hub: Any, tmp_path: Path, waits: list[float], status: int) -> None:
    hub.faults["GET", "train_000000.bin"] = [{"status": status, "headers": {"Retry-After": "20"}}] * 99
    with pytest.raises(EnvironmentFault, match=f"answers {status}") as caught:
        get(tmp_path)
    assert "goes on where it stopped" in (caught.value.hint or "")
    assert_nothing_half(hub, tmp_path)


def test_a_hub_that_asks_for_an_hour_is_given_up_at_once(hub: Any, tmp_path: Path, waits: list[float]) -> None:
    hub.faults["GET", "/api/datasets/" + CHALLENGE] = [{"status": 429, "headers": {"Retry-After": "3600"}}]
    with pytest.raises(EnvironmentFault, match="3600 s"):
        get(tmp_path)
    assert waits == []


def test_no_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        get(tmp_path)


def test_too_little_disk_is_refused_with_the_bytes_needed(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(1 << 40, 0, 64 << 20)
    monkeypatch.setattr("golfreg_fineweb.fetch.shutil.disk_usage", lambda place: usage)
    need = sum(map(len, expected(hub).values())) + (64 << 20)
    with pytest.raises(EnvironmentFault, match=f"{need:,} bytes are needed") as caught:
        get(tmp_path)
    assert "GOLFREG_CACHE" in (caught.value.hint or "")
    assert not in_place(tmp_path)
    assert not hub.bodies(".bin")


def test_a_disk_that_fills_while_fetching_is_one_clear_error(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import golfreg_fineweb.hub as module

    real = module.hf_hub_download

    def full(repository: str, path: str, **options: Any) -> str:
        if path.endswith("train_000001.bin"):
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))
        return str(real(repository, path, **options))

    monkeypatch.setattr(module, "hf_hub_download", full)
    with pytest.raises(EnvironmentFault, match="No space left") as caught:
        get(tmp_path)
    assert "free some space" in (caught.value.hint or "")
    assert_nothing_half(hub, tmp_path)
    monkeypatch.undo()


def test_a_variant_that_only_the_second_repository_has_comes_from_there_and_says_so(
    hub: Any, tmp_path: Path, published: dict[str, bytes]
) -> None:
    text = published["datasets/manifest.json"].decode().replace("sp1024", "sp4096")
    renamed = {path.replace("sp1024", "sp4096"): data for path, data in published.items()}
    hub.repositories["kevclark/parameter-golf"] = renamed | {"datasets/manifest.json": text.encode()}
    get(tmp_path, 1, "sp4096")
    assert fineweb.load("sp4096", tmp_path).notes["repository"] == "kevclark/parameter-golf"
    with pytest.raises(InputError, match="`sp8192` is not published") as caught:
        get(tmp_path, 1, "sp8192")
    assert "sp1024" in caught.value.message
    assert "@OWNER/REPOSITORY" in (caught.value.hint or "")


def test_another_repository_and_root_can_be_named(hub: Any, tmp_path: Path, published: dict[str, bytes]) -> None:
    hub.repositories["someone/else"] = {p.replace("datasets/", "my/export/", 1): d for p, d in published.items()}
    argument = "sp1024@someone/else/my/export"
    stock = get(tmp_path, 1, argument)
    assert stock.argument == argument
    assert fineweb.load(argument, tmp_path).notes["repository"] == "someone/else"
    assert [s.argument for s in fineweb.stocks(tmp_path)][-1] == argument
    with pytest.raises(InputError):
        fineweb.load("sp1024", tmp_path)


def test_a_repository_that_does_not_exist_is_named(hub: Any, tmp_path: Path) -> None:
    hub.faults["GET", "/api/datasets/no/body"] = [{"status": 404, "headers": {"X-Error-Code": "RepoNotFound"}}]
    with pytest.raises(InputError, match=r"no such repository.*no/body"):
        get(tmp_path, 1, "sp1024@no/body")


def edited(published: dict[str, bytes], **changes: Any) -> bytes:
    manifest = json.loads(published["datasets/manifest.json"])
    for path, value in changes.items():
        place = manifest
        *way, last = path.split("__")
        for key in way:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets": None}, {"datasets": [3]}, {"tokenizers": []}, {"shard_size": "many"}, {"shard_size": -1},
        {"datasets__0__stats": None}, {"datasets__0__stats__files_train": 0}, {"datasets__0__stats__files_val": 10**9},
        {"datasets__0__vocab_size": 1 << 20}, {"tokenizers__0__model_path": "../../../etc/passwd"},
        {"tokenizers__0__model_path": "/etc/passwd"}, {"tokenizers__0__model_path": None},
        {"datasets__0__stats__tokens_val": 17}, {"datasets__0__vocab_size": 777},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_refused(
    hub: Any, tmp_path: Path, published: dict[str, bytes], changes: dict[str, Any]
) -> None:
    hub.repositories[CHALLENGE]["datasets/manifest.json"] = edited(published, **changes)
    with pytest.raises(InputError):
        get(tmp_path)
    with pytest.raises(InputError):
        fineweb.load("sp1024", tmp_path)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"datasets": 1e999}'])
def test_a_manifest_that_is_no_manifest_is_refused(hub: Any, tmp_path: Path, data: bytes) -> None:
    hub.repositories[CHALLENGE]["datasets/manifest.json"] = data
    with pytest.raises(InputError):
        get(tmp_path)


def test_a_shard_with_another_header_is_refused_though_its_digest_fits(hub: Any, tmp_path: Path) -> None:
    path = SP + "fineweb_val_000000.bin"
    hub.repositories[CHALLENGE][path] = bytes(4) + hub.repositories[CHALLENGE][path][4:]
    with pytest.raises(InputError, match="no token shard"):
        get(tmp_path)
    assert "fineweb_val_000000.bin" not in in_place(tmp_path)


def test_a_file_that_was_cut_or_deleted_here_is_said_and_fetched_again(hub: Any, tmp_path: Path) -> None:
    get(tmp_path)
    place = tmp_path / "fineweb/sp1024"
    (place / "fineweb_val_000000.bin").write_bytes(b"short")
    assert fineweb.stocks(tmp_path)[0].fingerprint == ""
    with pytest.raises(InputError, match="was changed") as caught:
        fineweb.load("sp1024", tmp_path)
    assert caught.value.hint == "fetch it: `golfreg data get fineweb:sp1024`"
    (place / "fineweb_train_000001.bin").unlink()
    assert_whole(hub, tmp_path, get(tmp_path))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": 3}', '{"files": {}, "schema": 9}', '{"files": {"../a": [1, ""]}}']
)
def test_a_damaged_state_file_is_one_clear_error(hub: Any, tmp_path: Path, text: str) -> None:
    get(tmp_path)
    (tmp_path / "fineweb/sp1024/fetched.json").write_text(text)
    for call in (lambda: fineweb.load("sp1024", tmp_path), lambda: get(tmp_path)):
        with pytest.raises(InputError, match="damaged") as caught:
            call()
        assert "fetch it again" in (caught.value.hint or "")
    assert fineweb.stocks(tmp_path)[0].parts == 0


@pytest.mark.parametrize(
    "argument", ["sp1024@", "sp1024@a", "sp1024@../b", "gpt2", "SP1024", "sp0", "byte261", "sp1024@a/b/../c"]
)
def test_an_argument_that_names_no_export_is_refused(tmp_path: Path, argument: str) -> None:
    for call in (fineweb.load, lambda a, c: get(c, 1, a)):
        with pytest.raises(ConfigError):
            call(argument, tmp_path)
    assert not any(tmp_path.iterdir())


def test_more_shards_than_there_are_and_fewer_than_one_are_refused(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 training shards") as caught:
        get(tmp_path, 4)
    assert "--train-shards 3" in (caught.value.hint or "")
    with pytest.raises(ConfigError):
        get(tmp_path, 0)


def test_digests_are_those_of_the_files(hub: Any, tmp_path: Path) -> None:
    get(tmp_path)
    state = json.loads((tmp_path / "fineweb/sp1024/fetched.json").read_text())
    for name, (size, digest) in state["files"].items():
        data = (tmp_path / "fineweb/sp1024" / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)
