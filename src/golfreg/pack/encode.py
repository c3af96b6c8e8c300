"""Sections to a codec's streams."""

from __future__ import annotations

from golfreg.api.errors import InputError, PluginError
from golfreg.api.values import Section, Stream
from golfreg.config.plan import Plan
from golfreg.pack.sections import decoded


def encode(plan: Plan, sections: list[Section]) -> list[Stream]:
    """The codec's streams, proven to decode to the same sections. PluginError if they do not."""
    codec, config = plan.codec.load(), plan.codec.make_config()
    streams: list[Stream] = codec.encode(sections, config)
    try:
        arrays = decoded(codec, streams, [s.layout for s in sections], config)
    except InputError as error:
        raise PluginError(f"codec `{plan.codec.name}` cannot decode what it encoded: {error.message}") from error
    for section, array in zip(sections, arrays, strict=True):
        if section.data.tobytes() != array.tobytes():
            raise PluginError(
                f"codec `{plan.codec.name}` changed the {section.layout.part} of `{section.layout.tensor}`",
                "a codec must be lossless",
            )
    return streams
