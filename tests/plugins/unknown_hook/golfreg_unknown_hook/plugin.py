from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codec():
    yield Codec(name="unknown-hook", summary="bytes as they are", target="golfreg_unknown_hook.codec:codec")
