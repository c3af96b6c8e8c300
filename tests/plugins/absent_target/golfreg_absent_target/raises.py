"""Raises when the component is first used."""

raise OSError("libfast.so.1: cannot open shared object file")
