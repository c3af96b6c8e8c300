import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from golfreg.api import PluginError, Role
from golfreg.config.spec import TrainSettings
from golfreg.train.group import Group
from golfreg.train.muon import Muon
from golfreg.train.optimizers import AdamW, make_optimizers
from golfreg.train.orthogonalize import orthogonalize


def muon(matrices, **options):
    return Muon(matrices, **{"lr": 0.02, "weight_decay": 0.0, "iterations": 5, "dtype": torch.float32, **options})


def with_gradients(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for i, shape in enumerate(shapes):
        p = torch.nn.Parameter(torch.randn(shape, generator=generator))
        p.grad = torch.randn(shape, generator=generator)
        parameters[f"p{i}"] = p
    return parameters


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (48, 48), (200, 8)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    values = torch.linalg.svdvals(orthogonalize(matrices, 5, torch.float32))
    # Random square matrices have singular values near zero, which five iterations lift only part of the way.
    low = 0.65 if shape[0] != shape[1] else 0.05
    assert low < values.min()
    assert values.max() < 1.25
    assert 0.65 < values.median() < 1.2


def test_polar_express_brings_singular_values_nearer_to_one_in_as_many_iterations():
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(24, 40, dtype=torch.float64), full_matrices=False)
    lengths = torch.logspace(-1.7, 0, 24, dtype=torch.float64)
    matrix = (u * lengths) @ v

    def values(iterations, name):
        return torch.linalg.svdvals(orthogonalize(matrix[None], iterations, torch.float64, name))

    for iterations, most in ((5, 0.13), (6, 2e-3), (8, 1e-6)):
        found = values(iterations, "polar_express")
        assert (found - 1).abs().max() < most
        assert (values(iterations, "quintic") - 1).abs().max() > 0.3


def test_rows_of_very_different_length_are_orthogonalized_as_rows_of_one_length():
    parameters, other = with_gradients([(12, 20)]), with_gradients([(12, 20)])
    with torch.no_grad():
        parameters["p0"].grad *= torch.logspace(-2, 2, 12)[:, None]
    for p in (parameters, other):
        muon(p, equal_rows=True).step(1.0, 0.9)
    torch.testing.assert_close(parameters["p0"], other["p0"], rtol=0, atol=1e-5)


def test_row_groups_are_orthogonalized_as_matrices_of_their_own():
    fused, apart = with_gradients([(24, 8)]), {}
    for name, rows in {"z": slice(0, 8), "x": slice(8, 16), "dt": slice(16, 24)}.items():
        apart[name] = torch.nn.Parameter(fused["p0"].detach()[rows].clone())
        apart[name].grad = fused["p0"].grad[rows].clone()
    optimizer = muon(fused, row_groups={"p0": [8, 8, 8]}, weight_decay=0.1)
    optimizer.step(0.7, 0.9)
    muon(apart, weight_decay=0.1).step(0.7, 0.9)
    torch.testing.assert_close(fused["p0"].detach(), torch.cat([p.detach() for p in apart.values()]))
    assert {name: tuple(t.shape) for name, t in optimizer.gathered().items()} == {"muon/8x8": (3, 8, 8)}


def test_row_groups_come_from_the_roles_and_must_add_up():
    parameters = dict(zip(["in", "out"], with_gradients([(24, 8), (8, 24)]).values(), strict=True))
    settings = TrainSettings(muon_row_groups=True)
    roles = {"in": Role("in_proj", (("z", 16), ("dt", 8))), "out": Role("out")}
    optimizer, _ = make_optimizers(parameters, roles, settings)
    assert sorted(optimizer.groups) == ["16x8", "8x24", "8x8"]
    with pytest.raises(PluginError, match="`in` have 17 rows, the matrix 24"):
        make_optimizers(parameters, {**roles, "in": Role("in_proj", (("z", 16), ("dt", 1)))}, settings)


class Rank(Group):
    """One of several processes, each in a thread of its own."""

    def __init__(self, rank, size, meet, slots):
        self.rank, self.size, self.meet, self.slots = rank, size, meet, slots

    def gather(self, mine):
        self.slots[self.rank] = mine.clone()
        self.meet.wait()
        everything = torch.cat(self.slots)
        self.meet.wait()
        return everything, lambda: None


@pytest.mark.parametrize("size", [2, 4])
def test_shares_of_several_processes_make_the_steps_of_one_and_load_its_state(size):
    shapes = [(16, 24)] * 5 + [(24, 16)]
    alone = with_gradients(shapes)
    one, meet, slots = muon(alone), threading.Barrier(size, timeout=20), [None] * size

    def train(rank):
        parameters = with_gradients(shapes)
        optimizer = muon(parameters, group=Rank(rank, size, meet, slots))
        for _ in range(2):
            optimizer.step(1.0, 0.9)
        whole = optimizer.gathered()
        again = muon(parameters, group=Rank(rank, size, meet, slots))
        again.load(whole)
        return parameters, whole, optimizer, again

    for _ in range(2):
        one.step(1.0, 0.9)
    with ThreadPoolExecutor(size) as pool:
        results = list(pool.map(train, range(size)))
    for parameters, whole, optimizer, again in results:
        for name in alone:
            torch.testing.assert_close(parameters[name], alone[name], rtol=0, atol=1e-6)
        for shape, momenta in one.gathered().items():
            torch.testing.assert_close(whole[shape], momenta)
        assert optimizer.shapes() == one.shapes()
        for shape, momenta in optimizer.momenta_kRC.items():
            assert momenta.size(0) == -(-len(one.groups[shape]) // size)
            assert torch.equal(again.momenta_kRC[shape], momenta)


def test_orthogonalizing_keeps_singular_vectors():
    torch.manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(24, 40, dtype=torch.float64), full_matrices=False)
    matrix = u @ torch.diag(torch.linspace(1.0, 2.0, 24, dtype=torch.float64)) @ v
    inner = u.T @ orthogonalize(matrix[None], 5, torch.float64)[0] @ v.T
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-12


def test_matrices_of_one_shape_stepped_together_move_as_each_alone():
    together = with_gradients([(16, 24)] * 4 + [(24, 16)] * 2)
    alone = with_gradients([(16, 24)] * 4 + [(24, 16)] * 2)
    all_at_once = muon(together, weight_decay=0.1)
    one_by_one = [muon({name: p}, weight_decay=0.1) for name, p in alone.items()]
    assert len(all_at_once.groups) == 2
    for _ in range(3):
        all_at_once.step(0.7, 0.9)
        for optimizer in one_by_one:
            optimizer.step(0.7, 0.9)
    for name in together:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=1e-6)


def test_muon_is_nesterov_momentum_orthogonalized_and_scaled():
    parameters = with_gradients([(32, 8)])
    p = parameters["p0"]
    before, gradient = p.detach().clone(), p.grad.clone()
    optimizer = muon(parameters, weight_decay=0.5)
    optimizer.step(0.5, 0.9)
    momentum = 0.1 * gradient
    update = orthogonalize((0.1 * gradient + 0.9 * momentum)[None], 5, torch.float32)[0]
    expected = before * (1 - 0.01 * 0.5) - 0.01 * 2.0 * update
    torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(optimizer.gathered()["muon/32x8"][0], momentum)


def test_a_matrix_without_a_gradient_stays_where_it_is():
    parameters = with_gradients([(8, 8), (8, 8)])
    parameters["p1"].grad = None
    before = parameters["p1"].detach().clone()
    muon(parameters).step(1.0, 0.9)
    assert torch.equal(parameters["p1"].detach(), before)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_equals_the_one_of_torch(decay):
    mine, theirs = with_gradients([(7, 5), (11,)]), with_gradients([(7, 5), (11,)])
    rates = {"p0": 0.05, "p1": 0.002}
    optimizer = AdamW(mine, rates=rates, decays={"p0": decay, "p1": 0.0}, beta1=0.9, beta2=0.95)
    reference = torch.optim.AdamW(
        [
            {"params": [theirs["p0"]], "lr": 0.05, "weight_decay": decay},
            {"params": [theirs["p1"]], "lr": 0.002, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    generator = torch.Generator().manual_seed(9)
    for count in range(1, 8):
        for name in mine:
            mine[name].grad = torch.randn(mine[name].shape, generator=generator)
            theirs[name].grad = mine[name].grad.clone()
        optimizer.step(1.0, count)
        reference.step()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=1e-6)


def test_roles_decide_optimizer_rate_and_decay():
    parameters = with_gradients([(32, 8), (16, 8), (32, 8), (8,), (4, 8)])
    names = dict(zip(["emb", "up", "head", "gain", "gate"], parameters.values(), strict=True))
    roles = {
        "emb": Role("embedding"),
        "up": Role("mlp_up"),
        "head": Role("head"),
        "gain": Role("mlp_up"),
        "gate": Role("scalar"),
    }
    settings = TrainSettings(embedding_lr=0.3, scalar_lr=0.1, weight_decay=0.2)
    muon_, adamw = make_optimizers(names, roles, settings)
    assert list(muon_.groups) == ["16x8"]
    assert dict(zip(adamw.names, adamw.rates, strict=True)) == {"emb": 0.3, "head": 0.3, "gain": 0.1, "gate": 0.1}
    assert dict(zip(adamw.names, adamw.decays, strict=True)) == {"emb": 0.2, "head": 0.2, "gain": 0.0, "gate": 0.0}


def test_a_parameter_without_a_role_is_named():
    with pytest.raises(PluginError, match="p1"):
        make_optimizers(with_gradients([(4, 4), (4,)]), {"p0": Role("out")}, TrainSettings())
