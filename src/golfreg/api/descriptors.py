"""What a hook yields: light descriptions of components. Making one imports nothing heavy.

``target`` is ``"package.module:attribute"``; it is imported when the component is first used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from golfreg.api.errors import PluginError

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


@dataclass(frozen=True, kw_only=True)
class Component:
    """Common part of every descriptor.

    ``name``: what a user types, lower case. ``summary``: one line. ``target``: where the
    implementation is. ``requires``: importable module names without which it cannot work, each
    looked up with ``find_spec`` (so nothing is imported) before the target is. ``programs``: names of
    programs that it runs, looked up on the ``PATH``. A submission runs no program while it is scored,
    so a component of it that has any serves for comparisons only. ``install``: the command that installs
    what ``requires`` names, where that is not ``pip install`` and those names.
    """

    kind: ClassVar[str]
    name: str
    summary: str
    target: str
    requires: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    install: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise PluginError(
                f"{type(self).__name__} has the name {self.name!r}",
                hint="a name has lower-case letters, digits, `.`, `_` and `-`",
            )
        if not isinstance(self.target, str) or not _TARGET.match(self.target):
            raise PluginError(
                f"{self.kind} `{self.name}` has the target {self.target!r}",
                hint='a target is written "package.module:attribute"',
            )


@dataclass(frozen=True, kw_only=True)
class Architecture(Component):
    """A model. ``defaults`` are settings that a named pattern of another architecture fixes.

    ``inline_ops``: names of ops that it computes itself unless its build context has a kernel for them.
    """

    kind = "architecture"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    inline_ops: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mixer(Component):
    """A sequence-mixing layer. ``ops``: names of the ops it calls through its build context.

    ``inline_ops``: of those that it computes itself unless the context has a kernel for them.
    """

    kind = "mixer"
    ops: tuple[str, ...] = ()
    inline_ops: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Quantizer(Component):
    """Weights to integer codes and back. ``defaults`` as for an architecture."""

    kind = "quantizer"
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Codec(Component):
    """Sections to bytes and back, without loss."""

    kind = "codec"


@dataclass(frozen=True, kw_only=True)
class Op(Component):
    """An operation: signature, plain PyTorch reference, test cases, tolerances."""

    kind = "op"


@dataclass(frozen=True, kw_only=True)
class Kernel(Component):
    """One implementation of the op named ``op``; the reference is the kernel named ``reference``."""

    kind = "kernel"
    op: str
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class Corpus(Component):
    """Documents or token shards. ``argument``: what follows the colon in ``jsonl:PATH``, if anything.

    ``shards``: whether ``load`` gives ``Shards``, whose vocabulary is known when they are there.
    """

    kind = "corpus"
    argument: str | None = None
    shards: bool = False


@dataclass(frozen=True, kw_only=True)
class Observer(Component):
    """Is told what happens in a run; no part of it."""

    kind = "observer"


KINDS: dict[str, type[Component]] = {
    c.kind: c for c in (Architecture, Mixer, Quantizer, Codec, Op, Kernel, Corpus, Observer)
}
