"""The laws that the parts of this library are held to, public so that a user's own parts can be held to them.

    check_sde(MySDE())         the forward SDE is the one that its two functions state
    check_solver(MySolver())   the sampler converges to the right distribution, as fast as it claims

Each raises `AssertionError` with a sentence that names the law, where it fails and the numbers. All is computed in
float64, and nothing is random: the same part passes or fails every time.
"""

from sde_jax.testing.moments import Moments as Moments
from sde_jax.testing.moments import marginal as marginal
from sde_jax.testing.moments import moments as moments
from sde_jax.testing.orders import GAUSSIAN as GAUSSIAN
from sde_jax.testing.orders import MIXTURE as MIXTURE
from sde_jax.testing.orders import Order as Order
from sde_jax.testing.orders import Target as Target
from sde_jax.testing.orders import check_solver as check_solver
from sde_jax.testing.orders import flow_order as flow_order
from sde_jax.testing.orders import weak_order as weak_order
from sde_jax.testing.processes import bound_excess as bound_excess
from sde_jax.testing.processes import check_sde as check_sde
