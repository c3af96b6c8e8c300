from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    for name, target in (
        ("absent-module", "golfreg_absent_target.nowhere:codec"),
        ("absent-attribute", "golfreg_absent_target.codec:nothing"),
        ("lacks-methods", "golfreg_absent_target.codec:__doc__"),
        ("raises-late", "golfreg_absent_target.raises:codec"),
        ("is-a-class", "golfreg_absent_target.codec:Identity"),
    ):
        yield Codec(name=name, summary="its target cannot be used", target=target)
