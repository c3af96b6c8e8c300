"""The challenge's published FineWeb shards. What a run loads is `corpus`, `names` and `here`; the rest fetches."""
