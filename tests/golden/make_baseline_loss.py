"""Make ``baseline_loss.json``: losses of the challenge's baseline model on weights and tokens by formula.

The model is the class ``GPT`` of the public ``train_gpt.py`` (github.com/openai/parameter-golf), imported
from a file that the caller gives; ``main`` is not run. Float32 on the CPU.

    python tests/golden/make_baseline_loss.py PATH/train_gpt.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import formula  # noqa: E402

SETTINGS = {
    "num_layers": 9, "model_dim": 512, "num_heads": 8, "num_kv_heads": 4, "mlp_mult": 2, "tie_embeddings": True,
    "tied_embed_init_std": 0.005, "logit_softcap": 30.0, "rope_base": 10000.0, "qk_gain_init": 1.5,
}  # fmt: skip
VOCAB_SIZE = 1024
BATCHES = ((1, 64, 0), (2, 200, 1), (3, 33, 2))
"""(sequences, tokens of each, seed)"""


def weights(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The formula's weights by the public name of a parameter: matrices small, vectors around 1."""
    if len(shape) > 1 and not name.endswith(("resid_mix", "skip_weights")):
        array = formula.values(name, shape, scale=0.02 if name.startswith("tok_emb") else 1.5 / shape[1] ** 0.5)
    else:
        array = formula.values(name, shape, scale=0.3, mean=0.8)
    return torch.from_numpy(array).float()


def main() -> None:
    path = Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location("train_gpt", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_gpt"] = module
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    model = module.GPT(vocab_size=VOCAB_SIZE, **SETTINGS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights(name, tuple(parameter.shape)))
    losses = []
    for sequences, length, seed in BATCHES:
        text = torch.from_numpy(formula.tokens((sequences, length + 1), VOCAB_SIZE, seed))
        with torch.no_grad():
            loss = float(model(text[:, :-1], text[:, 1:]))
        losses.append({"sequences": sequences, "length": length, "seed": seed, "loss": loss})
    result = {
        "command": "python tests/golden/make_baseline_loss.py train_gpt.py",
        "source": "github.com/openai/parameter-golf train_gpt.py",
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "batches": losses,
    }
    (HERE / "baseline_loss.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
