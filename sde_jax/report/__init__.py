"""The report of a run, one page that opens from a file without a server or a network, and its pictures.

The names are those of `__init__.pyi`, each imported when it is first used: importing matplotlib takes a second, for
which only commands that draw should wait.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
