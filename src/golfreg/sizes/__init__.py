"""Where the bytes of an artifact are. No module here is part of a submission, and none imports torch."""
