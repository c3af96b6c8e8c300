import errno

import pytest
import torch
from safetensors.torch import load_file

from golfreg.api import EnvironmentFault, InputError
from golfreg.train import checkpoint as checkpoint_module
from golfreg.train import files
from golfreg.train.checkpoint import Checkpoints
from golfreg.train.files import load_weights, read_tensors, write_tensors

NUMBERS = {"tokens": 10, "position": 10, "elapsed_seconds": 1.5, "finished": False, "final_loss": 3.0}


def write(checkpoints, step):
    return checkpoints.write({"weight/a": torch.full((64,), float(step))}, {"step": step, **NUMBERS})


def test_the_last_two_checkpoints_are_kept_and_the_newest_is_read(tmp_path):
    checkpoints = Checkpoints(tmp_path, "d")
    for step in (5, 10, 15, 20):
        write(checkpoints, step)
    assert [p.name[:13] for p in checkpoints.paths()] == ["step_00000015", "step_00000020"]
    found = checkpoints.newest(pytest.fail)
    assert found.numbers["step"] == 20
    assert torch.equal(found.tensors["weight/a"], torch.full((64,), 20.0))


def test_a_second_checkpoint_of_one_step_replaces_the_first(tmp_path):
    checkpoints = Checkpoints(tmp_path, "d")
    for step, value in ((5, 0.0), (10, 1.0), (10, 2.0)):
        checkpoints.write({"weight/a": torch.tensor([value])}, {"step": step, **NUMBERS})
    assert [p.name[:13] for p in checkpoints.paths()] == ["step_00000005", "step_00000010"]
    assert checkpoints.newest(pytest.fail).tensors["weight/a"].item() == 2.0


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
def test_a_damaged_newest_checkpoint_is_noted_and_the_one_before_used(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, "d")
    write(checkpoints, 5)
    path = write(checkpoints, 10)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes({"truncated": bytes(data[:-20]), "empty": b"", "flipped": bytes(data)}[damage])
    said = []
    assert checkpoints.newest(said.append).numbers["step"] == 5
    assert len(said) == 1
    assert path.name in said[0]
    write(checkpoints, 7)
    assert [p.name[:13] for p in checkpoints.paths()] == ["step_00000005", "step_00000007"]


def test_a_file_that_no_checkpoint_writer_made_is_not_used_even_with_a_right_checksum(tmp_path):
    import zlib

    junk = b"\x10\0\0\0\0\0\0\0" + b"{" * 16
    (tmp_path / f"step_00000003-{zlib.crc32(junk):08x}.safetensors").write_bytes(junk)
    said = []
    assert Checkpoints(tmp_path, "d").newest(said.append) is None
    assert len(said) == 1


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    write(Checkpoints(tmp_path, "one"), 5)
    with pytest.raises(InputError, match="other settings"):
        Checkpoints(tmp_path, "two").newest(pytest.fail)


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoints(tmp_path, "d").newest(pytest.fail) is None


def test_a_full_disk_leaves_the_older_checkpoints_and_no_rest(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, "d")
    write(checkpoints, 5)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        write(checkpoints, 10)
    assert [p.name[:13] for p in tmp_path.iterdir()] == ["step_00000005"]


def test_a_file_cut_short_by_a_kill_is_never_taken_for_a_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, "d")
    write(checkpoints, 5)
    monkeypatch.setattr(checkpoint_module, "publish", lambda temporary, path: None)
    write(checkpoints, 10)
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoints.newest(pytest.fail).numbers["step"] == 5
    monkeypatch.undo()
    write(checkpoints, 15)
    assert len(list(tmp_path.iterdir())) == 2


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": torch.ones(3)})

    def full(tensors, to, metadata):
        to.write_bytes(b"half")
        raise files.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(EnvironmentFault, match="No space left") as caught:
        write_tensors(path, {"a": torch.zeros(3)})
    assert "--resume" in caught.value.hint
    assert torch.equal(load_file(path)["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_weights_are_written_as_the_same_bytes_each_time(tmp_path):
    tensors = {f"layer.{i}": torch.arange(5.0) * i for i in range(9)}
    write_tensors(tmp_path / "a", tensors)
    write_tensors(tmp_path / "b", tensors)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{}", None])
def test_a_file_that_is_no_safetensors_file_is_an_input_error(tmp_path, content):
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_tensors(tmp_path / "x")


@pytest.mark.parametrize(
    "tensors", [{}, {"weight": torch.ones(2, 3), "more": torch.ones(1)}, {"weight": torch.ones(3, 2)}]
)
def test_weights_of_another_model_are_refused(tmp_path, tensors):
    model = torch.nn.Linear(3, 2, bias=False)
    write_tensors(tmp_path / "x", tensors)
    with pytest.raises(InputError, match="does not fit the model"):
        load_weights(tmp_path / "x", model)


def test_weights_come_back(tmp_path):
    model = torch.nn.Linear(3, 2)
    write_tensors(tmp_path / "x", dict(model.named_parameters()))
    other = torch.nn.Linear(3, 2)
    load_weights(tmp_path / "x", other)
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(other.bias, model.bias)
