"""The challenge's shards as a dataset directory, for an exported script: linked, checked, their bytes proven."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import save

from golfreg.api.errors import InputError
from golfreg.data.dataset import BYTES_FILE, DATASET_FILE, DATASET_SCHEMA
from golfreg.data.prove import prove_bytes
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import ByteTokenizer, Tokenizer, read_tokenizer

_PATTERNS = (("*_train_*.bin", "*_val_*.bin"), ("train_*.bin", "validation_*.bin"))


def link_dataset(data_path: Path, tokenizer_path: str, directory: Path) -> list[str]:
    """Make ``directory`` a dataset of the shards in ``data_path``. ``tokenizer_path``: a ``.model``, or ``bytes``.

    Returns what the challenge's log says of its data. InputError for shards that are missing, damaged or of
    another tokenizer, and where counted bytes are not those of the decoded text.
    """
    tokenizer: Tokenizer = ByteTokenizer() if tokenizer_path == "bytes" else read_tokenizer(Path(tokenizer_path))
    shards = _find(data_path)
    directory.mkdir()
    files = {}
    for prefix, paths in zip(("train", "validation"), shards, strict=True):
        TokenStream(paths).check(tokenizer.vocab_size)
        for number, path in enumerate(paths):
            name = f"{prefix}_{number:06d}.bin"
            (directory / name).symlink_to(path.resolve())
            files[name] = path.stat().st_size
    train, validation = (TokenStream(paths) for paths in shards)
    table = tokenizer.byte_table()
    proof = prove_bytes(validation, tokenizer, table)
    arrays = {"base_bytes": table.base_bytes, "leading_space": table.leading_space, "boundary": table.boundary}
    (directory / BYTES_FILE).write_bytes(save(arrays))
    values = {
        "schema": DATASET_SCHEMA,
        "corpus": data_path.name,
        "tokenizer": tokenizer.name,
        "tokenizer_digest": tokenizer.digest,
        "vocab_size": tokenizer.vocab_size,
        "train_tokens": len(train),
        "validation_tokens": len(validation),
        "validation_documents": proof.documents,
        "validation_bytes": proof.target_bytes,
        "validation_source_bytes": proof.target_bytes,
        "validation_documents_changed": 0,
        "fingerprint": "",
        "licence": "",
        **({} if tokenizer.bos_id is None else {"bos_id": tokenizer.bos_id}),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()] + ["[notes]"]
    for name, size in files.items():
        lines += [f'[files."{name}"]', f"bytes = {size}"]
    (directory / DATASET_FILE).write_text("\n".join(lines) + "\n", "utf-8")
    return [
        f"val_bpb:enabled tokenizer_kind={'bytes' if tokenizer.model is None else 'sentencepiece'} "
        f"tokenizer_path={tokenizer_path}",
        f"train_loader:dataset:{data_path.name} train_shards:{len(shards[0])}",
        f"val_loader:shards:{len(shards[1])} tokens:{len(validation) - 1} bytes:{proof.target_bytes}",
    ]


def _find(data_path: Path) -> tuple[list[Path], list[Path]]:
    for patterns in _PATTERNS:
        train, validation = (sorted(data_path.glob(pattern)) for pattern in patterns)
        if train and validation:
            return train, validation
    raise InputError(
        f"`{data_path}` does not hold both training and validation shards",
        "set DATA_PATH to a directory of `*_train_*.bin` and `*_val_*.bin`",
    )
