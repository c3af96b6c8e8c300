"""Where the documentation says more."""

DOCS = "docs/"
"""The documentation's pages: in the repository, until they have an address (``https://...`` ending in ``/``)."""


def docs_link(anchor: str) -> str:
    """The place of ``page#anchor``, as ``rules#gr101``: below ``DOCS``, a Markdown file or a page of the site."""
    page, mark, part = anchor.partition("#")
    return f"{DOCS}{page}{'.html' if DOCS.startswith('https://') else '.md'}{mark}{part}"
