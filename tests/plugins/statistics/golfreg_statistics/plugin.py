from golfreg.api import Quantizer, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_quantizers():
    yield Quantizer(name="weighted", summary="int8, needs statistics", target="golfreg_statistics.quantizer:weighted")
