"""What the benches of whole models on a GPU have in common: their cases, and the data.

The data is a directory that somewhere below it holds these files, whatever its layout: ``web_0.jsonl.xz``,
``web_1.jsonl.xz`` and ``web_2.jsonl.xz`` to train on, ``fineweb_eval.jsonl`` to score, and the SentencePiece models
``fineweb_8192_bpe.model`` and ``fineweb_1024_bpe.model`` (or ``fineweb_1024_bpe.derived.model``).
"""

from __future__ import annotations

from pathlib import Path

from golfreg.api.errors import ConfigError

TRAIN = ("web_0.jsonl.xz", "web_1.jsonl.xz", "web_2.jsonl.xz")
VALIDATION = "fineweb_eval.jsonl"
TOKENIZERS = {
    8192: ("fineweb_8192_bpe.model",),
    1024: ("fineweb_1024_bpe.model", "fineweb_1024_bpe.derived.model"),
}

CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "baseline": ("baseline", 1024, ()),
    "baseline-131k": ("baseline", 1024, ("train.batch_tokens=131072", "train.warmdown_fraction=0.83")),
    "mamba3-hybrid": ("mamba3-hybrid", 8192, ("components.kernel=mamba3_siso=triton",)),
    "mamba3-hybrid-upstream": ("mamba3-hybrid", 8192, ("components.kernel=mamba3_siso=mamba-ssm",)),
    "transformer": ("transformer", 8192, ()),
    **{
        name: ("mamba3-hybrid", 8192, (f"components.architecture={name}", f"components.kernel={kernel}"))
        for name, kernel in (
            ("gated-deltanet", "gated_delta_rule=fla"), ("gla", "gated_linear_attention=fla"),
            ("rwkv7", "rwkv7_wkv=fla"), ("mamba2", "mamba2_ssd=mamba-ssm"), ("mamba1", "mamba1_scan=mamba-ssm"),
        )
    },
}  # fmt: skip
"""Name to recipe, vocabulary and what is changed. The last five have a plugin's layers where the hybrid has Mamba-3."""

TINY = (
    "train.batch_tokens=512", "train.micro_batch_tokens=256", "train.sequence_length=128", "architecture.d_model=64",
    "mixer.attention.n_heads=2", "mixer.attention.n_kv_heads=2", "mixer.mamba3.headdim=32", "train.compile=off",
    "components.kernel=reference", "train.calibration_tokens=512", "score.batch_tokens=2048",
    "score.sequence_length=512",
)  # fmt: skip
"""Every case cut down, eager and with plain kernels: it looks for mistakes where there is no GPU."""


def data_settings(directory: Path | None, vocabulary: int) -> list[str]:
    """``key=value`` of the corpus and the tokenizer. None: golfreg's own corpus, with a tokenizer trained on it.

    ConfigError names a file that is not there.
    """
    if directory is None:
        return ["components.corpus=docstrings", f"data.tokenizer=sp{vocabulary}"]
    corpus = ",".join(str(_find(directory, (name,))) for name in TRAIN)
    return [
        f"components.corpus=jsonl:{corpus};validation={_find(directory, (VALIDATION,))}",
        f"data.tokenizer={_find(directory, TOKENIZERS[vocabulary])}",
    ]


def _find(directory: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        found = sorted(directory.rglob(name))
        if found:
            return found[0].resolve()
    raise ConfigError(f"`{directory}` holds no `{names[0]}`", "bench/gpu_cases.py says what is needed")
