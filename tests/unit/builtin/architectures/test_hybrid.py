"""The architecture ``hybrid``: the baseline exactly, its patterns, documents, roles."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import BuildContext
from golfreg.builtin.architectures.hybrid import hybrid

GOLDEN = Path(__file__).parents[3] / "golden"
PUBLIC_NAMES = {
    "embedding.weight": "tok_emb.weight", "skip_scales": "skip_weights", "mixer.q_proj.weight": "attn.c_q.weight",
    "mixer.k_proj.weight": "attn.c_k.weight", "mixer.v_proj.weight": "attn.c_v.weight",
    "mixer.out_proj.weight": "attn.proj.weight", "mixer.q_gain": "attn.q_gain", "mlp.up.weight": "mlp.fc.weight",
    "mlp.down.weight": "mlp.proj.weight", "mixer_scale": "attn_scale", "mlp_scale": "mlp_scale",
    "residual_mix": "resid_mix",
}  # fmt: skip
SMALL = {
    "n_layers": 4,
    "d_model": 32,
    "attention": {"n_heads": 4, "n_kv_heads": 2},
    "mamba3": {"headdim": 16, "d_state": 8},
}


def public_name(name):
    if not name.startswith("blocks."):
        return PUBLIC_NAMES[name]
    _, layer, inner = name.split(".", 2)
    return f"blocks.{layer}.{PUBLIC_NAMES[inner]}"


def lively(model, seed=0):
    """No parameter at its initial value, so that every path matters."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("golden_baseline", GOLDEN / "make_baseline_loss.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_default_is_the_baseline_with_the_same_loss(models, maker):
    model, _ = models.build(vocab_size=1024)
    assert sum(p.numel() for p in model.parameters()) == 17_059_912
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(maker.weights(public_name(name), tuple(p.shape)))
    golden = json.loads((GOLDEN / "baseline_loss.json").read_text())
    assert golden["parameters"] == 17_059_912
    assert len(golden["batches"]) == 3
    for batch in golden["batches"]:
        tokens = torch.from_numpy(maker.formula.tokens((batch["sequences"], batch["length"] + 1), 1024, batch["seed"]))
        with torch.no_grad():
            logits = model.head(model.features(tokens[:, :-1]))
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        assert abs(float(loss) - batch["loss"]) < 1e-5


def test_without_a_document_mask_bos_changes_nothing(models):
    tokens = torch.randint(0, 64, (2, 30), generator=torch.Generator().manual_seed(0))
    tokens[:, 11] = 1
    states = []
    for bos_id, document_mask in ((None, True), (1, False), (1, True)):
        torch.manual_seed(0)
        model, _ = models.build(bos_id=bos_id, document_mask=document_mask, **SMALL)
        with torch.no_grad():
            states.append(lively(model)(tokens))
    torch.testing.assert_close(states[0], states[1])
    assert (states[0] - states[2])[:, 12:].abs().max() > 1e-3
    torch.testing.assert_close(states[0][:, :11], states[2][:, :11])


@pytest.mark.parametrize("mixer", ["attention", "mamba3"])
def test_nothing_reaches_an_earlier_position_or_another_document(models, mixer):
    model, _ = models.build(bos_id=1, mixer=mixer, attention_layers=(1,), **SMALL)
    lively(model).double()
    model.dtype = torch.float64
    tokens = torch.randint(2, 64, (1, 40), generator=torch.Generator().manual_seed(1))
    tokens[0, [0, 15, 30]] = 1
    changed = tokens.clone()
    changed[0, 16:30] = (changed[0, 16:30] + 5) % 60 + 2
    with torch.no_grad():
        moved = (model(tokens) - model(changed)).abs().amax(-1)[0]
    assert moved[:16].max() < 1e-12
    assert moved[16:30].min() > 1e-6
    assert moved[30:].max() < 1e-12


def test_attention_stands_at_the_layers_that_are_named(models):
    model, context = models.build(mixer="mamba3", attention_layers=(0, 2), **SMALL)
    kinds = [type(block.mixer).__name__ for block in model.blocks]
    assert kinds == ["Attention", "Mamba3", "Attention", "Mamba3"]
    assert list(context.mixers) == ["mamba3", "attention"]
    assert hybrid.mixers(hybrid.Config(mixer="mamba3")) == ("mamba3",)
    assert hybrid.mixers(hybrid.Config()) == ("attention",)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mixer": "mamba3", "attention_layers": (3,)},
        {"tie_embeddings": False},
        {"unet_skips": False, "residual_mix": False, "layer_scales": False},
        {"mlp_ratio": 0.0, "mixer": "mamba3"},
        {"n_layers": 1},
        {"mlp_activation": "leaky_relu2", "logit_softcap": 0.0, "n_layers": 3},
    ],
)
def test_every_variant_trains_every_parameter_and_knows_its_role(models, settings):
    model, context = models.build(bos_id=1, **{**SMALL, **settings})
    lively(model)
    tokens = torch.randint(0, 64, (2, 20), generator=torch.Generator().manual_seed(2))
    F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
    parameters = dict(model.named_parameters())
    for name, p in parameters.items():
        assert p.dtype == torch.float32
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.any(), name
    roles = hybrid.roles(model)
    assert roles.keys() == parameters.keys()
    for name, role in roles.items():
        assert (role.name == "scalar") == (
            parameters[name].ndim == 1 or name.endswith(("_bias", "residual_mix", "skip_scales"))
        ), name
        if role.groups:
            assert sum(rows for _, rows in role.groups) == parameters[name].shape[0]
    assert hybrid.flops_per_token(model.config, context) > 6 * sum(
        p.numel() for n, p in parameters.items() if roles[n].name not in ("scalar", "embedding")
    )


def test_the_baselines_operations_are_counted_by_the_formula(models):
    model, context = models.build(vocab_size=1024)
    matrices = sum(p.numel() for n, p in model.named_parameters() if hybrid.roles(model)[n].name != "scalar")
    seen = context.sequence_length + 1
    assert hybrid.flops_per_token(model.config, context) == 6 * matrices + 9 * 6 * 512 * seen


def test_logits_stay_within_the_softcap(models):
    model, _ = models.build(logit_softcap=5.0, **SMALL)
    with torch.no_grad():
        model.embedding.weight.mul_(1e4)
        logits = model(torch.arange(64).view(1, 64))
    assert logits.abs().max() <= 5.0
    assert logits.abs().max() > 4.9


def test_in_bfloat16_the_activations_are_rounded_and_the_weights_are_not(models):
    torch.manual_seed(0)
    exact, _ = models.build(bos_id=1, mixer="mamba3", attention_layers=(1,), **SMALL)
    rough, _ = models.build(bos_id=1, mixer="mamba3", attention_layers=(1,), dtype="bfloat16", **SMALL)
    rough.load_state_dict(exact.state_dict())
    tokens = torch.randint(0, 64, (2, 40), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        x = rough.features(tokens)
        assert x.dtype == torch.bfloat16
        assert (rough.head(x).float() - exact(tokens)).abs().max() < 0.05
    assert all(p.dtype == torch.float32 for p in rough.parameters())


def test_a_token_outside_the_vocabulary_is_not_swallowed(models):
    model, _ = models.build(**SMALL)
    with pytest.raises(IndexError):
        model(torch.tensor([[64]]))


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layers": 0}, {"n_layers": 10**9}, {"d_model": 0}, {"d_model": 10**9}, {"attention_layers": (9,)},
        {"attention_layers": (-1,)}, {"mlp_activation": "relu3"}, {"mlp_ratio": -1.0}, {"logit_softcap": -1.0},
        {"tied_embedding_std": -1.0}, {"mlp_ratio": math.nan}, {"logit_softcap": math.nan}, {"mlp_ratio": 1e9},
        {"mlp_ratio": math.inf},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        hybrid.Config(**settings)


def test_a_mixer_that_was_not_resolved_is_named():
    with pytest.raises(PluginError, match="`attention`"):
        hybrid.build(hybrid.Config(), BuildContext(64, 48))


# Dynamo itself makes an instance of an autograd function, of which torch warns.
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated:DeprecationWarning")
def test_a_training_step_is_one_graph_with_the_same_gradients(models):
    model, _ = models.build(bos_id=1, mixer="mamba3", attention_layers=(1,), **SMALL)
    lively(model)
    tokens = torch.randint(0, 64, (2, 24), generator=torch.Generator().manual_seed(4))
    model(tokens).square().mean().backward()
    true = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    torch.compile(lambda x: model.head(model.features(x)), fullgraph=True, backend="aot_eager")(
        tokens
    ).square().mean().backward()
    for p, gradient in zip(model.parameters(), true, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pattern", [{"mixer": "mamba3"}, {"mixer": "mamba3", "attention_layers": (1, 3)}, {}])
@pytest.mark.parametrize(("length", "document_mask"), [(1, True), (40, True), (40, False)])
def test_steps_with_the_state_carried_are_one_pass(models, pattern, length, document_mask):
    model = lively(models.build(bos_id=1, document_mask=document_mask, **pattern, **SMALL)[0])
    tokens_BT = torch.randint(2, 64, (2, 130), generator=torch.Generator().manual_seed(1))
    tokens_BT[:, ::50] = 1
    with torch.no_grad():
        whole_BTV = model(tokens_BT).log_softmax(-1)
        # Attention reaches back to the document's start, or, where nothing is masked, to the stream's.
        state, parts = model.initial_state(2, 50 if document_mask else 130), []
        for part_BT in tokens_BT.split(length, 1):
            x_BTD, state = model.step(part_BT, state)
            parts.append(model.head(x_BTD).log_softmax(-1))
    assert (torch.cat(parts, 1) - whole_BTV).abs().max() < 1e-5


def test_a_mixer_without_a_state_is_named_before_anything_is_scored(models):
    model, _ = models.build(mixer="mamba3", **SMALL)
    model.blocks[2].mixer = torch.nn.Identity()
    with pytest.raises(ConfigError, match=r"mixer `mamba3` cannot carry its state"):
        model.initial_state(1, 0)
