"""The observer keeps the contract of every observer."""

import pytest

pytest.importorskip("trackio", reason="trackio is not installed: pip install golfreg-trackio")
pytest.importorskip("golfreg_trackio", reason="install it: pip install -e plugins/golfreg-trackio")

from golfreg.testing import conformance

test_conformance = conformance(distribution="golfreg-trackio")
