"""Entries: directories of TOML that state a claim, read strictly, held against the rules, ranked, shown."""
