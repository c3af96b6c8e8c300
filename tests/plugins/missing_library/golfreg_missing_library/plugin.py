from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    yield Codec(
        name="missing-library",
        summary="needs what is not installed",
        target="golfreg_missing_library.codec:codec",
        requires=("golfreg_absent_library.fast",),
    )
