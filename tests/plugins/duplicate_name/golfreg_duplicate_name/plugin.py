from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    yield Codec(name="lzma", summary="has a built-in's name", target="golfreg_duplicate_name.codec:codec")
