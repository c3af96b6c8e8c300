"""What the shell offers after TAB: components, recipes, corpora, rulesets and tracks. ``golfreg --install-completion``.

Each takes what was typed so far and gives (value, help). Nothing heavy is imported, and nothing
that is wrong with a plugin or a leaderboard is said here: there is just less to offer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from golfreg.api import KINDS

Offered = list[tuple[str, str]]
KIND_NAMES = ", ".join(list(KINDS)[:-1]) + f" or {list(KINDS)[-1]}."


def components(kind: str | None) -> Callable[[str], Offered]:
    """Names of the components of a kind; of every kind if None."""

    def complete(incomplete: str) -> Offered:
        from golfreg.registry.host import get_host

        found = [component for each in KINDS if kind in (None, each) for component in get_host().of_kind(each)]
        return _matching(((c.name, c.descriptor.summary) for c in found), incomplete)

    return complete


def corpora(incomplete: str) -> Offered:
    """Corpora by name; after a colon what can be fetched, or else the shell's own completion of paths."""
    return fetchable(incomplete) if ":" in incomplete else components("corpus")(incomplete)


def fetchable(incomplete: str) -> Offered:
    """Corpora that can be fetched, each with its argument."""
    from golfreg.api.errors import GolfregError
    from golfreg.data.cache import corpora_dir
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import load

    found = []
    for component in get_host().of_kind("corpus"):
        try:
            stocks = getattr(load(component), "stocks", lambda place: ())(corpora_dir())
        except GolfregError:
            continue
        found += [(f"{component.name}:{stock.argument}", component.descriptor.summary) for stock in stocks]
    return _matching(found, incomplete)


def kinds(incomplete: str) -> Offered:
    """Kinds of component."""
    return _matching(((kind, "") for kind in KINDS), incomplete)


def recipes(incomplete: str) -> Offered:
    """Shipped recipes."""
    from golfreg.runner.recipes import find_recipe, list_recipes, recipe_summary

    return _matching(((name, recipe_summary(find_recipe(name))) for name in list_recipes()), incomplete)


def rulesets(incomplete: str) -> Offered:
    """Rulesets with what each is for."""
    from golfreg.rules.ruleset import list_rulesets, load_ruleset

    return _matching(((name, load_ruleset(name).summary) for name in list_rulesets()), incomplete)


def tracks(incomplete: str) -> Offered:
    """Tracks of the leaderboard in the working directory, and those of the rulesets."""
    from golfreg.rules.ruleset import list_rulesets, load_ruleset

    here = Path("leaderboard")
    found = [path.name for path in here.iterdir() if path.is_dir()] if here.is_dir() else []
    found += [load_ruleset(name).track for name in list_rulesets()]
    return _matching(((name, "") for name in sorted(set(found)) if not name.startswith(".")), incomplete)


@contextmanager
def joined_colons(environment: MutableMapping[str, str]) -> Iterator[None]:
    """For bash a colon ends a word: `fineweb`, `:`, `sp1` are made one again, and it gets what follows the colon."""
    words, at = environment.get("COMP_WORDS", "").split("\n"), int(environment.get("COMP_CWORD", "0"))
    if not 0 < at < len(words) or ":" not in words[at - 1 : at + 1]:
        yield
        return
    first = at - 1 if words[at] == ":" else at - 2
    word = "".join(words[first : at + 1])
    environment["COMP_WORDS"] = "\n".join([*words[:first], word])
    environment["COMP_CWORD"] = str(first)
    offered = io.StringIO()
    try:
        with redirect_stdout(offered):
            yield
    finally:
        has = word[: word.rindex(":") + 1]
        print("\n".join(line.removeprefix(has) for line in offered.getvalue().splitlines()))


def _matching(offered: Iterable[tuple[str, str]], incomplete: str) -> Offered:
    kept = {name: text for name, text in offered if name.startswith(incomplete)}
    return [(name, kept[name]) for name in sorted(kept)]
