"""Finished runs in the forms in which others publish theirs."""
