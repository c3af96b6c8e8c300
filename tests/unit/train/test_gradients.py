import math

import pytest
import torch
from torch.nn import functional as F

from golfreg.api.errors import PluginError
from golfreg.builtin.kernels.softcapped_cross_entropy import reference
from golfreg.train import loss as loss_module
from golfreg.train.average import Average
from golfreg.train.loss import Gradients


def gradients_of(tiny, tokens, targets, chunk_tokens, micro):
    torch.manual_seed(0)
    model = tiny.TinyModel().eval()
    gradients = Gradients(model, vocab_size=tiny.VOCAB, compile_model=False)
    gradients.chunk_tokens = chunk_tokens
    loss = gradients(zip(tokens.chunk(micro), targets.chunk(micro), strict=True), tokens.numel())
    return loss, {name: p.grad for name, p in model.named_parameters()}


@pytest.fixture
def batch(tiny):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(tiny.VOCAB, (2, 8, tiny.WINDOW), generator=generator).unbind()


@pytest.mark.parametrize(("chunk_tokens", "micro"), [(10**6, 1), (10**6, 4), (32, 1), (48, 2), (7, 1)])
def test_micro_batches_and_chunks_give_the_gradient_of_the_full_batch(tiny, batch, chunk_tokens, micro):
    tokens, targets = batch
    torch.manual_seed(0)
    model = tiny.TinyModel().eval()
    expected = F.cross_entropy(model.head(model.features(tokens)).flatten(0, 1), targets.flatten())
    expected.backward()
    loss, found = gradients_of(tiny, tokens, targets, chunk_tokens, micro)
    assert abs(loss.item() - expected.item()) < 1e-6
    for name, p in model.named_parameters():
        assert (found[name] - p.grad).abs().max() < 1e-6, name


def test_a_model_that_keeps_its_head_to_itself_is_refused_a_kernel_of_the_loss(tiny):
    with pytest.raises(PluginError, match="does not give its head"):
        Gradients(tiny.TinyModel(), vocab_size=tiny.VOCAB, compile_model=False, loss_kernel=reference)


def test_no_more_logits_than_a_chunk_are_made_at_once(tiny, batch, monkeypatch):
    monkeypatch.setattr(loss_module, "_LOGIT_BYTES", 16 * 4 * tiny.VOCAB)
    seen = []
    model = tiny.TinyModel()
    head = model.head
    model.head = lambda x_BTD: seen.append(math.prod(x_BTD.shape[:-1])) or head(x_BTD)
    Gradients(model, vocab_size=tiny.VOCAB, compile_model=False)([batch], batch[0].numel())
    assert seen == [16] * 8


def test_the_average_is_the_exponential_one_with_a_short_memory_at_first():
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5))
    average = Average({"p": parameter}, 0.6)
    expected = parameter.detach().clone()
    for count in range(1, 30):
        with torch.no_grad():
            parameter += torch.randn(5)
        average.update(count)
        decay = min(0.6, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * parameter.detach()
    torch.testing.assert_close(average.means["p"], expected)
