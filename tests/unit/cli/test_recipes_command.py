"""``golfreg recipes``."""

import json
import subprocess
import sys

from typer.testing import CliRunner

from golfreg.cli.app import app
from golfreg.runner.recipes import list_recipes

RUNNER = CliRunner()


def test_every_recipe_is_listed_with_its_ruleset_and_one_line() -> None:
    done = RUNNER.invoke(app, ["recipes", "--json"])
    assert done.exit_code == 0
    rows = {row["recipe"]: row for row in json.loads(done.stdout)}
    assert sorted(rows) == list_recipes()
    assert rows["baseline"]["ruleset"] == "h100-150s"
    assert rows["baseline-8gpu"]["ruleset"] == "parameter-golf"
    assert rows["baseline-8gpu"]["architecture"] == "transformer"
    assert rows["smoke"]["architecture"] == "mamba3"
    assert all(row["summary"].endswith(".") and "\n" not in row["summary"] for row in rows.values())
    assert "mamba3-hybrid" in RUNNER.invoke(app, ["recipes"]).stdout


def test_listing_recipes_imports_no_torch() -> None:
    code = "import sys; from golfreg.cli.recipes import recipes; recipes(False); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
