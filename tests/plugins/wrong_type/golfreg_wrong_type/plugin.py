from golfreg.api import Codec, Quantizer, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    yield Quantizer(name="wrong-kind", summary="not a codec", target="golfreg_wrong_type.codec:codec")
    yield {"name": "a-dictionary"}
    yield Codec(name="right-type", summary="after two that are not", target="golfreg_wrong_type.codec:codec")
