"""Runs commands of golfreg in one process, each in its directory: JSON in, JSON out. torch is imported once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from golfreg.cli.main import _run

results = []
for directory, words in json.load(sys.stdin):
    os.chdir(directory)
    sys.argv = words
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run()
    results.append((code, out.getvalue(), err.getvalue()))
json.dump(results, sys.stdout)
