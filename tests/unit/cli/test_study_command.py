"""``golfreg study`` lists claims without torch, and refuses what it cannot study before anything is measured."""

import json
import subprocess
import sys

import pytest

from golfreg.cli.main import _run
from golfreg.studies.catalogue import STUDIES


@pytest.fixture
def study(monkeypatch, capsys, tmp_path):
    """Run the command in this process, in an empty directory: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["golfreg", "study", *map(str, words)])
        code = _run()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_list_says_what_was_claimed(study):
    code, out, _ = study("list", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == ["calibration", "compressibility", "dynamics-precision"]
    code, out, _ = study("list")
    assert code == 0
    assert all(s.claim in out for s in STUDIES)


def test_the_list_imports_neither_torch_nor_numpy():
    program = (
        "import sys\nsys.argv = ['golfreg', 'study', 'list']\nfrom golfreg.cli.main import _run\n_run()\n"
        "assert not {'torch', 'numpy', 'golfreg.studies.compressibility'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compresibility", "runs/a"], "did you mean `compressibility`?"),
        (["compressibility", "runs/a"], "is no run directory"),
        (["compressibility", "runs/a", "--set", "bit=[6]"], "did you mean `bits`?"),
        (["compressibility", "runs/a", "--set", "bits=six"], "`bits`"),
        (["compressibility", "runs/a", "--set", "bits=[9]"], "from 2 to 8"),
        (["dynamics-precision", "runs/a", "--set", "bits"], "has no value"),
        (["calibration", "runs/a", "--set", 'sources=["own"]'], "no source `own`"),
    ],
)
def test_what_cannot_be_studied_is_an_error_and_makes_nothing(study, tmp_path, words, said):
    code, out, err = study("run", *words)
    assert code == 2, err
    assert said in err
    assert (out, "Traceback" in err) == ("", False)
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_is_refused_with_the_way_to_finish_it(study, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.toml").write_text("not a plan")
    code, _, err = study("run", "calibration", "run")
    assert code == 2
    assert "plan" in err
    assert "Traceback" not in err
