import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of the test's own."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GOLFREG_CACHE", str(root))
    return root
