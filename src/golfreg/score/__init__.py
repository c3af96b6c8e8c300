"""The score: bits per byte of an artifact, computed in a process of its own that trusts nothing but the bytes."""
