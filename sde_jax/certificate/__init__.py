"""The certificate: our laws, run on closed forms, as findings that anybody can print again.

orders        every sampler on every path: the order measured beside the order it declares
likelihoods   the probability flow's densities beside closed forms
conversions   every translation and back
ends          every sampler from t = 1 to t = 0 on every path, or refused there by name
wrappers      solvers with a memory inside everything that moves x
recorded      the values that the official code recorded, where a folder of them is given
"""

from sde_jax.certificate.conversions import conversions as conversions
from sde_jax.certificate.ends import ends as ends
from sde_jax.certificate.ends import reached as reached
from sde_jax.certificate.finding import Finding as Finding
from sde_jax.certificate.finding import Law as Law
from sde_jax.certificate.likelihoods import likelihoods as likelihoods
from sde_jax.certificate.orders import orders as orders
from sde_jax.certificate.parts import COMBINED as COMBINED
from sde_jax.certificate.parts import PATHS as PATHS
from sde_jax.certificate.parts import SAMPLERS as SAMPLERS
from sde_jax.certificate.table import table as table
from sde_jax.certificate.wrappers import wrappers as wrappers
