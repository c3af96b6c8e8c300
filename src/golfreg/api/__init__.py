"""Everything that a plugin may import.

A plugin is a module named in the entry-point group ``golfreg``. It imports this package and
nothing heavier, states ``GOLFREG_API = 1``, and yields descriptors from hooks named
``golfreg_<plural>``::

    from golfreg.api import Codec, hookimpl

    GOLFREG_API = 1

    @hookimpl
    def golfreg_codecs():
        yield Codec(name="mine", summary="my codec", target="my_package.codec:my_codec")
"""

from golfreg.api.descriptors import (
    KINDS,
    Architecture,
    Codec,
    Component,
    Corpus,
    Kernel,
    Mixer,
    Observer,
    Op,
    Quantizer,
)
from golfreg.api.errors import (
    AnswerIsNo,
    ConfigError,
    EnvironmentFault,
    GolfregError,
    InputError,
    PluginError,
    UnknownComponentError,
)
from golfreg.api.markers import GOLFREG_API, hookimpl, hookspec
from golfreg.api.values import (
    EMBEDDING_ROLES,
    ITEM_BYTES,
    MATRIX_ROLES,
    STORAGE_DTYPE,
    Budget,
    BuildContext,
    Case,
    CostTable,
    Documents,
    Layout,
    Role,
    Section,
    Shards,
    Stock,
    Stream,
)

__all__ = [
    "EMBEDDING_ROLES",
    "GOLFREG_API",
    "ITEM_BYTES",
    "KINDS",
    "MATRIX_ROLES",
    "STORAGE_DTYPE",
    "AnswerIsNo",
    "Architecture",
    "Budget",
    "BuildContext",
    "Case",
    "Codec",
    "Component",
    "ConfigError",
    "CostTable",
    "Corpus",
    "Documents",
    "EnvironmentFault",
    "GolfregError",
    "InputError",
    "Kernel",
    "Layout",
    "Mixer",
    "Observer",
    "Op",
    "PluginError",
    "Quantizer",
    "Role",
    "Section",
    "Shards",
    "Stock",
    "Stream",
    "UnknownComponentError",
    "hookimpl",
    "hookspec",
]
