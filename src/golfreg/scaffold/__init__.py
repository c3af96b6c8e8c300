"""Writes a plugin distribution that already works: ``golfreg plugins new``.

Each kind is one directory of ``templates``, laid over ``templates/common``; adding a directory adds a kind.
"""

from golfreg.scaffold.kinds import Kind, find_kind, known_kinds
from golfreg.scaffold.names import Names, check_clashes, check_name
from golfreg.scaffold.write import Written, write_plugin

__all__ = ["Kind", "Names", "Written", "check_clashes", "check_name", "find_kind", "known_kinds", "write_plugin"]
