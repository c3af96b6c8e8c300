"""golfreg's runs in trackio."""
