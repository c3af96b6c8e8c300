from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    yield Codec(name="works", summary="bytes as they are", target="golfreg_works.codec:codec")
