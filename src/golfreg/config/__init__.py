"""Settings of a run: plain frozen values, layered loading with the origin of each, TOML."""
