"""A stand-in for the hub on 127.0.0.1, with faults, and small exports to publish on it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHALLENGE = "willdepueoai/parameter-golf"
SHARD_TOKENS = 3000
PATIENCE_SECONDS = 600
WORDS = "the model reads one token after another and guesses what comes next from all it has seen so far".split()


@dataclass
class Hub:
    """What is published, what goes wrong, and what was asked.

    ``faults``: (method, end of the path) to what the next requests get, one after another: a status
    with headers, ``cut`` after so many bytes, other ``content``, or ``held``: so many bytes come, and
    the rest never.
    ``hidden``: paths that do not exist although the manifest has them.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def fault(self, method: str, path: str) -> dict[str, Any]:
        for (wanted, end), waiting in self.faults.items():
            if wanted == method and path.endswith(end) and waiting:
                return waiting.pop(0)
        return {}

    def bodies(self, end: str) -> list[str]:
        """The ``Range`` of each GET of a file, empty where there was none."""
        return [asked for method, path, asked in self.log if method == "GET" and path.endswith(end)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self.answer("GET")

    def do_HEAD(self) -> None:
        self.answer("HEAD")

    def do_POST(self) -> None:
        self.answer("POST")

    def answer(self, method: str) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            path = urllib.parse.unquote(self.path.partition("?")[0])
            self.hub.log.append((method, path, self.headers.get("Range", "")))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = self.hub.fault(method, path)
            if "status" in fault:
                return self.send(fault["status"], b"{}", fault.get("headers", {}))
            for name, files in self.hub.repositories.items():
                if path == f"/api/datasets/{name}":
                    return self.send_json({"id": name, "sha": COMMIT})
                if path == f"/api/datasets/{name}/paths-info/{COMMIT}":
                    wanted = urllib.parse.parse_qs(body.decode())["paths"]
                    return self.send_json([self.describe(p, files[p]) for p in wanted if p in files])
                for prefix in (f"/datasets/{name}/resolve/{COMMIT}/", f"/cdn/{name}/"):
                    if path.startswith(prefix) and path.removeprefix(prefix) in files:
                        file = path.removeprefix(prefix)
                        return self.file(method, name, file, files[file], fault, prefix.startswith("/cdn"))
            return self.send(404, b'{"error": "not found"}', {"X-Error-Code": "EntryNotFound"})

    def describe(self, path: str, data: bytes) -> dict[str, Any]:
        size = self.hub.sizes.get(path, len(data))
        entry: dict[str, Any] = {"type": "file", "path": path, "size": size, "oid": git_sha1(data)}
        if is_large(path):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 134}
        return entry

    def file(self, method: str, name: str, path: str, data: bytes, fault: dict[str, Any], cdn: bool) -> None:
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if is_large(path) and not cdn:
            digest = hashlib.sha256(data).hexdigest()
            size = str(self.hub.sizes.get(path, len(data)))
            location = f"{self.hub.url}/cdn/{name}/{urllib.parse.quote(path)}"
            headers |= {"Location": location, "X-Linked-Size": size, "X-Linked-ETag": f'"{digest}"'}
            return self.send(302, b"", headers)
        headers["ETag"] = f'"{git_sha1(data)}"'
        data = fault.get("content", data)
        status, start = 200, 0
        if asked := self.headers.get("Range", ""):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(data):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        part = data[start:]
        if method == "HEAD":
            return self.send(status, b"", {**headers, "Content-Length": str(len(part))})
        if "cut" in fault:
            headers["Content-Length"] = str(len(part))
            self.send(status, part[: fault["cut"]], headers)
            self.close_connection = True
            self.wfile.flush()
            return self.connection.close()
        if "held" in fault:
            self.send(status, part[: fault["held"]], {**headers, "Content-Length": str(len(part))})
            self.hub.ended.wait()
            self.close_connection = True
            return None
        return self.send(status, part, headers)

    def send_json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def is_large(path: str) -> bool:
    return path.endswith((".bin", ".model"))


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def shard(tokens: np.ndarray) -> bytes:
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, len(tokens)
    return header.tobytes() + tokens.astype("<u2").tobytes()


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{i}: " + " ".join(draw.choices(WORDS, k=draw.randint(20, 60))) for i in range(count)]


def spiece_model(vocab_size: int) -> bytes:
    """A model with the challenge's settings."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts(300, 9)), model_writer=model, model_type="bpe", vocab_size=vocab_size,
        byte_fallback=True, split_digits=True, character_coverage=0.999, add_dummy_prefix=False,
        normalization_rule_name="nmt_nfkc", pad_id=0, bos_id=1, eos_id=2, unk_id=3, minloglevel=3,
        hard_vocab_limit=False, num_threads=1,
    )  # fmt: skip
    return model.getvalue()


def export(
    variants: dict[str, bytes | None], train_documents: int = 150, validation_documents: int = 40
) -> dict[str, bytes]:
    """Files of a repository: a manifest, shards and tokenizers. A variant's model, or None for bytes."""
    import sentencepiece

    files: dict[str, bytes] = {}
    manifest: dict[str, Any] = {"version": "10B", "shard_size": SHARD_TOKENS, "tokenizers": [], "datasets": []}
    for variant, model in variants.items():
        if model is None:
            path, size, name = "tokenizers/fineweb_pure_byte_260.json", 260, "pure_byte_260"
            config = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "byte_offset": 4, "byte_count": 256}
            files[f"datasets/{path}"] = json.dumps({"tokenizer_type": "pure_byte", "config": config}).encode()

            def encode(text: str) -> list[int]:
                return [b + 4 for b in text.encode()]

            manifest["tokenizers"].append({"name": name, "vocab_size": size, "path": path})
        else:
            processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            path, size, name = f"tokenizers/fineweb_{variant}.model", processor.vocab_size(), f"sp_{variant}"
            files[f"datasets/{path}"] = model
            encode = processor.encode
            manifest["tokenizers"].append({"name": name, "vocab_size": size, "model_path": path})
        stats = {}
        for split, documents in (("val", texts(validation_documents, 1)), ("train", texts(train_documents, 2))):
            tokens = np.concatenate([np.array([1, *encode(text)]) for text in documents])
            parts = [tokens[i : i + SHARD_TOKENS] for i in range(0, len(tokens), SHARD_TOKENS)]
            for number, part in enumerate(parts):
                files[f"datasets/datasets/fineweb10B_{variant}/fineweb_{split}_{number:06d}.bin"] = shard(part)
            stats |= {f"files_{split}": len(parts), f"tokens_{split}": len(tokens)}
        manifest["datasets"].append(
            {"name": f"fineweb10B_{variant}", "tokenizer_name": name, "vocab_size": size, "stats": stats}
        )
    files["datasets/manifest.json"] = json.dumps(manifest).encode()
    return files


@pytest.fixture(scope="session")
def published() -> dict[str, bytes]:
    """An export of sp1024, whose model is smaller here, and of bytes."""
    return export({"sp1024": spiece_model(400), "byte260": None})


@pytest.fixture
def hub(published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The running stand-in, in place of the real one for this process and those it starts."""
    hub = Hub({CHALLENGE: dict(published)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub = hub  # type: ignore[attr-defined]
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    # On a busy machine the stand-in may be slow to answer: that is none of the faults under test.
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setenv(name, str(PATIENCE_SECONDS))
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", PATIENCE_SECONDS)
    monkeypatch.setattr("golfreg_fineweb.hub._TIMEOUT", float(PATIENCE_SECONDS))
    try:
        yield hub
    finally:
        hub.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time; how long it would have been is noted."""
    noted: list[float] = []
    monkeypatch.setattr("time.sleep", noted.append)
    return noted


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library writes 10 MB at a time; here 500 bytes, so that a cut file has a beginning."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)


def left_behind(directory: Path) -> list[str]:
    """Names of what is in place, without state and staging."""
    return (
        sorted(p.name for p in directory.iterdir() if p.is_file() and not p.name.startswith("."))
        if directory.is_dir()
        else []
    )
