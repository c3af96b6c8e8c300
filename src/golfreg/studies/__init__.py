"""Studies: findings of the field, measured again from checkpoints by one command each. One module a finding.

A module has ``Config``, a frozen dataclass of its settings, and ``run(place, config) -> Report``.
"""
