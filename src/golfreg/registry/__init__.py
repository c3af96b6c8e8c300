"""The plugin host: finds plugins, guards their loading, and resolves names to components.

``host`` loads, ``resolve`` looks up and imports, ``settings`` makes a component's ``Config``.
Never imports torch or numpy.
"""
