"""A codec that leaves bytes as they are."""

from golfreg.api.codec import ByteCodec


class Identity(ByteCodec):
    def compress(self, data, config):
        return data

    def decompress(self, data, size, config):
        return data


codec = Identity()
