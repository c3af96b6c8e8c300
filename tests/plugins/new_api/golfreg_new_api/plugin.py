from golfreg.api import Codec, hookimpl

GOLFREG_API = 99


@hookimpl
def golfreg_codecs():
    yield Codec(name="new-api", summary="bytes as they are", target="golfreg_new_api.codec:codec")
