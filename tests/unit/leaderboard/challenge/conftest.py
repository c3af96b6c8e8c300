import base64
import json
import lzma

import pytest

SCRIPT = "import os\n" + "".join(f"def layer_{n}(x):\n    return x * {n} + {n * 7919 % 1009}\n\n" for n in range(60))


def final_lines(bpb, nats, total, model, code):
    return [
        f"Serialized model int8+zlib: {model} bytes (payload:1 raw_torch:2 payload_ratio:3.91x)",
        f"Total submission size int8+zlib: {total} bytes",
        f"final_int8_zlib_roundtrip val_loss:{nats:.4f} val_bpb:{bpb:.4f} eval_time:1401ms",
        f"final_int8_zlib_roundtrip_exact val_loss:{nats:.8f} val_bpb:{bpb:.8f}",
    ]


def log_text(seed=1, bpb=1.2, *, code, total=15_900_000, train_ms=600_038, extra=(), settings="train_seq_len:1024"):
    """A log as the challenge's reference script prints it."""
    lines = [
        "def eval(x):",
        '    log0(f"final_int8_zlib_roundtrip val_loss:{q_val_loss:.4f} val_bpb:{q_val_bpb:.4f}")',
        "val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./data/tokenizers/fineweb_1024_bpe.model",
        "model_params:17059912",
        f"train_batch_tokens:524288 {settings} iterations:20000",
        f"seed:{seed}",
        f"step:13780/20000 val_loss:2.0606 val_bpb:1.2172 train_time:{train_ms}ms step_avg:43.54ms",
        f"stopping_early: wallclock_cap train_time:{train_ms}ms step:13780/20000",
        f"Code size: {code} bytes",
        "Total submission size: 67272625 bytes",
        *final_lines(bpb, bpb * 1.689, total, total - code, code),
        *extra,
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def log():
    return log_text


@pytest.fixture
def make_folder(tmp_path):
    """A tiny record folder that keeps every rule, unless parts of it are given. ``files``: None leaves one out."""

    def make(name="2026-04-01_Tiny", scores=(1.2, 1.202, 1.201), *, said=None, files=None, track="track_10min_16mb"):
        folder = tmp_path / "records" / track / name
        folder.mkdir(parents=True)
        seeds = range(1, len(scores) + 1)
        submission = {
            "author": "A. Uthor",
            "github_id": "auth",
            "name": "Tiny",
            "date": "2026-04-01",
            "val_bpb": round(sum(scores) / len(scores), 8),
            "seeds": list(seeds),
            "seed_results": {
                str(s): {"val_bpb": b, "artifact_bytes": 15_900_000} for s, b in zip(seeds, scores, strict=True)
            },
            "bytes_total": 15_900_000,
            "bytes_code": len(SCRIPT.encode()),
        } | (said or {})
        texts = {
            "submission.json": json.dumps({key: value for key, value in submission.items() if value is not ...}),
            "README.md": f"# Tiny\n\nIt has {submission['val_bpb']} bits per byte.\n",
            "train_gpt.py": SCRIPT,
            **{
                f"train_seed{s}.log": log_text(s, b, code=len(SCRIPT.encode()))
                for s, b in zip(seeds, scores, strict=True)
            },
        } | (files or {})
        for place, content in texts.items():
            if content is not None:
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                (folder / place).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return make


@pytest.fixture
def pack():
    """A script as a runner around raw LZMA2 in base85."""

    def packed(source):
        data = lzma.compress(source.encode(), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}])
        literal = base64.b85encode(data).decode()
        return f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{literal}"),format=L.FORMAT_RAW))\n'

    return packed
