"""Three documents."""

from golfreg.api import Documents


class Three:
    def load(self, argument, cache_dir):
        return Documents(
            train=lambda: iter(["one", "two"]),
            validation=lambda: iter(["three"]),
            fingerprint="123",
            licence="CC0-1.0",
        )


corpus = Three()
