"""Modules of mamba-ssm, imported without running ``mamba_ssm/__init__.py``.

That file imports ``selective_scan_cuda``, a compiled extension that the install command leaves out, and
``transformers``; so ``import mamba_ssm`` fails where its Triton kernels would work. An empty package with the same
``__path__`` takes its place in ``sys.modules``, and the modules that are needed are imported below it.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

from golfreg.api.errors import EnvironmentFault
from golfreg_mamba_ssm.pins import pin
from golfreg_mamba_ssm.plugin import INSTALL

PACKAGE = "mamba_ssm"

_lock = threading.RLock()


def upstream(name: str) -> ModuleType:
    """The module ``mamba_ssm.NAME``, its autotuned kernels pinned to one configuration each.

    A ``mamba_ssm`` that was imported whole is used as it is. If the import fails, ``sys.modules`` is as before,
    and ``EnvironmentFault`` says what is missing.
    """
    with _lock:
        before = {key: module for key, module in sys.modules.items() if _ours(key)}
        if PACKAGE not in sys.modules:
            sys.modules[PACKAGE] = _bare_package()
        try:
            module = importlib.import_module(f"{PACKAGE}.{name}")
        except Exception as error:
            for key in [key for key in sys.modules if _ours(key)]:
                del sys.modules[key]
            sys.modules.update(before)
            raise _fault(name, error) from error
        for key, loaded in list(sys.modules.items()):
            if _ours(key) and key not in before:
                pin(loaded)
        return module


def _ours(key: str) -> bool:
    return key == PACKAGE or key.startswith(f"{PACKAGE}.")


def _bare_package() -> ModuleType:
    """A package of the name whose modules are found where the real one's are."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFault("mamba-ssm is not installed", hint=INSTALL)
    bare = importlib.machinery.ModuleSpec(PACKAGE, None, origin=spec.origin, is_package=True)
    bare.submodule_search_locations = list(spec.submodule_search_locations)
    module = importlib.util.module_from_spec(bare)

    def absent(name: str) -> Any:
        raise AttributeError(f"`{PACKAGE}.{name}`: golfreg-mamba-ssm imported the package without its __init__")

    module.__dict__["__getattr__"] = absent
    return module


def _fault(name: str, error: Exception) -> EnvironmentFault:
    if isinstance(error, ModuleNotFoundError) and error.name and not _ours(error.name):
        return EnvironmentFault(
            f"`{PACKAGE}.{name}` needs `{error.name}`, which is not installed",
            hint=f"pip install {error.name.partition('.')[0]}",
        )
    return EnvironmentFault(f"`{PACKAGE}.{name}` could not be imported: {type(error).__name__}: {error}", hint=INSTALL)
