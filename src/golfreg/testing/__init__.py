"""The conformance kit: what every component must do, as checks that a plugin's own tests run.

A plugin's whole test file::

    from golfreg.testing import conformance

    test_conformance = conformance(distribution="golfreg-zstd")

gives one test for each check of each component of the distribution. ``golfreg plugins check NAME``
runs the same checks. To check an object that is not installed, call ``check_codec(target, config)``
of ``golfreg.testing.codecs``, or its sibling for another kind. Every check raises
``AssertionError`` with an explanation. ``golfreg.testing.records`` has an example record.
"""

from golfreg.testing.kit import Outcome, Subject, Unchecked, checks, conformance, iter_components, run_checks

__all__ = ["Outcome", "Subject", "Unchecked", "checks", "conformance", "iter_components", "run_checks"]
