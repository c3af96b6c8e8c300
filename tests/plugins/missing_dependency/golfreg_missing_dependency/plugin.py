"""Imports a package that is not installed."""

import golfreg_absent_dependency  # noqa: F401

GOLFREG_API = 1
