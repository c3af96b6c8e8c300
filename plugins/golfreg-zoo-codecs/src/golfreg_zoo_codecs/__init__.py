"""More codecs for golfreg. Each is a module of its own, so that an artifact counts the one that it uses."""
