import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models():
    """The module ``tests/unit/kernels/models.py``."""
    path = Path(__file__).parent / "models.py"
    spec = importlib.util.spec_from_file_location("golfreg_tests_models", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
