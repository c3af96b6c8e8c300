from golfreg.api import Codec, hookimpl


@hookimpl
def golfreg_codecs():
    yield Codec(name="no-api", summary="bytes as they are", target="golfreg_no_api.codec:codec")
