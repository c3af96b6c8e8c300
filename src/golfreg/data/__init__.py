"""Corpora become token shards with a proven byte table; a loader reads them. Nothing here imports torch."""
