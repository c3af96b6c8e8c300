from golfreg.api import Codec, Corpus, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs():
    yield Codec(
        name="before-the-error", summary="yielded, then the hook raises", target="golfreg_hook_raises.codec:codec"
    )
    raise LookupError("no table of codecs")


@hookimpl
def golfreg_corpora():
    yield Corpus(name="beside-the-error", summary="of another hook", target="golfreg_hook_raises.corpus:corpus")
