"""Studies: the field's findings, measured again from checkpoints. One file a finding."""
