"""Several processes that do one thing: how they start, agree and end, and what ends one that is stuck."""

from sde_jax.processes.agreement import DisagreementError as DisagreementError
from sde_jax.processes.agreement import first_says as first_says
from sde_jax.processes.agreement import require_same as require_same
from sde_jax.processes.connect import connect as connect
from sde_jax.processes.fingerprint import fingerprint as fingerprint
from sde_jax.processes.fingerprint import versions as versions
from sde_jax.processes.gather import on_host as on_host
from sde_jax.processes.job import count as count
from sde_jax.processes.job import devices as devices
from sde_jax.processes.job import index as index
from sde_jax.processes.job import is_first as is_first
from sde_jax.processes.job import meet as meet
from sde_jax.processes.signals import ENDING as ENDING
from sde_jax.processes.signals import deferred as deferred
from sde_jax.processes.signals import handled as handled
from sde_jax.processes.signals import interruptible as interruptible
from sde_jax.processes.start import initialize as initialize
from sde_jax.processes.together import ENDED as ENDED
from sde_jax.processes.together import INTERRUPTED as INTERRUPTED
from sde_jax.processes.together import end as end
from sde_jax.processes.together import together as together
from sde_jax.processes.watch import Watch as Watch
from sde_jax.processes.watchdog import Watchdog as Watchdog
