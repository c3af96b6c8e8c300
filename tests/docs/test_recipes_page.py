"""Every run that ``docs/recipes.md`` names makes a plan, and its switches and recipes are those that there are."""

from __future__ import annotations

import re
import shlex

import pytest

from golfreg.builtin.architectures.hybrid import HybridConfig
from golfreg.builtin.mixers.attention import AttentionConfig
from golfreg.builtin.mixers.mamba3 import Mamba3Config
from golfreg.config.load import load_spec
from golfreg.config.spec import TrainSettings
from golfreg.runner.plan import make_plan
from golfreg.runner.recipes import find_recipe, list_recipes
from tests.docs.blocks import commands, text_of

PAGE = "recipes.md"
RUNS = sorted({c.text for c in commands(PAGE) if c.text.startswith("golfreg run ")})


def test_every_run_on_the_page_makes_a_plan_of_its_own() -> None:
    digests: dict[str, str] = {}
    for text in RUNS:
        words = shlex.split(text)
        sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        planned = make_plan(load_spec(find_recipe(words[words.index("--recipe") + 1]), {}, ["train.device=cpu", *sets]))
        unused = [w for w in planned.warnings if "corpus" not in w]
        assert not unused, text
        if sets:
            assert planned.plan.spec_digest not in digests, f"{text} is {digests[planned.plan.spec_digest]}"
            digests[planned.plan.spec_digest] = text
    assert len(digests) > 20


def test_every_recipe_stands_on_the_page() -> None:
    assert not [name for name in list_recipes() if f"`{name}`" not in text_of(PAGE)]


@pytest.mark.parametrize(
    ("prefix", "config"),
    [
        ("architecture", HybridConfig), ("mixer.attention", AttentionConfig), ("mixer.mamba3", Mamba3Config),
        ("train", TrainSettings),
    ],
)  # fmt: skip
def test_every_setting_that_the_page_names_exists(prefix: str, config: type) -> None:
    named = set(re.findall(rf"`{re.escape(prefix)}\.(\w+)[` =]", text_of(PAGE)))
    assert named
    assert named <= set(config.__dataclass_fields__)  # type: ignore[attr-defined]
