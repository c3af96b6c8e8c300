"""Record folders of the Parameter Golf challenge: read without running anything, checked, imported."""
