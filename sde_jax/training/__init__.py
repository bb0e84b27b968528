"""Training: state, step, averages, checkpoints and the loop around them."""

from sde_jax.training.account import Account as Account
from sde_jax.training.averages import Average as Average
from sde_jax.training.averages import ExponentialAverage as ExponentialAverage
from sde_jax.training.books import Books as Books
from sde_jax.training.books import read_books as read_books
from sde_jax.training.books import read_history as read_history
from sde_jax.training.checkpoint import Checkpoints as Checkpoints
from sde_jax.training.checkpoint import abstract as abstract
from sde_jax.training.clock import Clock as Clock
from sde_jax.training.flops import flop_utilization as flop_utilization
from sde_jax.training.flops import peak_flops as peak_flops
from sde_jax.training.flops import product_flops as product_flops
from sde_jax.training.guard import FiniteGuard as FiniteGuard
from sde_jax.training.guard import Interruption as Interruption
from sde_jax.training.loop import Events as Events
from sde_jax.training.loop import train as train
from sde_jax.training.mesh import by_example as by_example
from sde_jax.training.mesh import data_mesh as data_mesh
from sde_jax.training.mesh import place as place
from sde_jax.training.mesh import replicated as replicated
from sde_jax.training.optimizer import Adam as Adam
from sde_jax.training.state import TrainState as TrainState
from sde_jax.training.step import Metrics as Metrics
from sde_jax.training.step import batch_loss as batch_loss
from sde_jax.training.step import make_step as make_step
