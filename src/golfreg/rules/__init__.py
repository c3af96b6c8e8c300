"""Rulesets as versioned TOML, and the findings: what a record is held against."""
