"""The report of a run, one page that opens from a file without a server or a network, and its pictures.

The names are those of `__init__.pyi`, imported when they are first asked for: drawing takes a second to import, which
only who draws should wait for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
