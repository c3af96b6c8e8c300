"""golfreg: a plugin-based benchmark registry for Parameter-Golf contests."""
