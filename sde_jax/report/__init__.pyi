"""The names of the report, for type checkers; `__init__.py` imports each when it is first asked for."""

from .calibration import calibration_picture as calibration_picture
from .compared import Comparison as Comparison
from .compared import Run as Run
from .comparison import render_comparison as render_comparison
from .contents import Report as Report
from .diagram import DARK as DARK
from .diagram import LIGHT as LIGHT
from .diagram import Theme as Theme
from .differences import Difference as Difference
from .differences import difference as difference
from .differences import paired_difference as paired_difference
from .evaluation_sections import evaluation_summary as evaluation_summary
from .grid import image_grid as image_grid
from .histogram import likelihood_histogram as likelihood_histogram
from .html import render as render
from .levels import losses_by_noise_level as losses_by_noise_level
from .measured import Measured as Measured
from .measured import metric_against_evaluations as metric_against_evaluations
from .measured import metric_against_steps as metric_against_steps
from .plots import loss_by_noise_level as loss_by_noise_level
from .plots import training_curve as training_curve
from .quality import quality_pictures as quality_pictures
from .restoration import restoration_picture as restoration_picture
from .scatter import marginals as marginals
from .scatter import scatter as scatter
