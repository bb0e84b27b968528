"""Adaptive solving, through diffrax."""

from sde_jax.ode.finite import finite as finite
from sde_jax.ode.flow import Flow as Flow
from sde_jax.ode.flow import check_start as check_start
from sde_jax.ode.flow import integrate as integrate
from sde_jax.ode.methods import SRA1 as SRA1
from sde_jax.ode.methods import Bosh3 as Bosh3
from sde_jax.ode.methods import Diffrax as Diffrax
from sde_jax.ode.methods import Dopri5 as Dopri5
from sde_jax.ode.methods import Dopri8 as Dopri8
from sde_jax.ode.methods import Heun as Heun
from sde_jax.ode.methods import Method as Method
from sde_jax.ode.methods import ShARK as ShARK
from sde_jax.ode.methods import SPaRK as SPaRK
from sde_jax.ode.methods import Tsit5 as Tsit5
from sde_jax.ode.methods import evaluations as evaluations
from sde_jax.ode.queue import integrate_each as integrate_each
from sde_jax.ode.queue import rowwise as rowwise
from sde_jax.ode.tolerance import Tolerance as Tolerance
