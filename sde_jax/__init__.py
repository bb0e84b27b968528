"""sde_jax: score-based generative modelling through stochastic differential equations.

The public names are those of `__init__.pyi`. Each is imported when it is first asked for (PEP 562).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
