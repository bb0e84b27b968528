"""The report of a run, one page that opens from a file without a server or a network, and its pictures."""

from sde_jax.report.calibration import calibration_picture as calibration_picture
from sde_jax.report.compared import Comparison as Comparison
from sde_jax.report.compared import Run as Run
from sde_jax.report.comparison import render_comparison as render_comparison
from sde_jax.report.contents import Report as Report
from sde_jax.report.diagram import DARK as DARK
from sde_jax.report.diagram import LIGHT as LIGHT
from sde_jax.report.diagram import Theme as Theme
from sde_jax.report.differences import Difference as Difference
from sde_jax.report.differences import difference as difference
from sde_jax.report.differences import paired_difference as paired_difference
from sde_jax.report.evaluation_sections import evaluation_summary as evaluation_summary
from sde_jax.report.grid import image_grid as image_grid
from sde_jax.report.histogram import likelihood_histogram as likelihood_histogram
from sde_jax.report.html import render as render
from sde_jax.report.levels import losses_by_noise_level as losses_by_noise_level
from sde_jax.report.measured import Measured as Measured
from sde_jax.report.measured import metric_against_evaluations as metric_against_evaluations
from sde_jax.report.measured import metric_against_steps as metric_against_steps
from sde_jax.report.plots import loss_by_noise_level as loss_by_noise_level
from sde_jax.report.plots import training_curve as training_curve
from sde_jax.report.quality import quality_pictures as quality_pictures
from sde_jax.report.restoration import restoration_picture as restoration_picture
from sde_jax.report.scatter import marginals as marginals
from sde_jax.report.scatter import scatter as scatter
