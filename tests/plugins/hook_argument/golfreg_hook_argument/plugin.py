from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs(config):
    yield Codec(name="hook-argument", summary="bytes as they are", target="golfreg_hook_argument.codec:codec")
