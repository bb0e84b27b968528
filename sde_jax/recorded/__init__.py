"""Comparison with values that the official code recorded (Song et al. 2021, their code).

`compare(folder)` makes every comparison that the files of a folder allow. A file (.npz) holds inputs, the noise that
was drawn, and what the official code made of them:

    sde_PATH                                     the path, its reverse and its tables
    steps_PATH                                   single steps of every predictor and corrector
    pc_PATH_PREDICTOR_CORRECTOR_denoise0 or 1    whole runs
    ode_lik_PATH                                 the probability flow from given latents, and likelihoods
    ctrl_TASK_PATH_CORRECTOR_denoise0 or 1       inpainting and colourisation, TASK is inpaint or colorize

PATH is vp, subvp or ve. Where no score is recorded, data are from N(0, s0^2 I), s0 = 0.5, and its score is exact.
"""

from sde_jax.recorded.comparison import Comparison as Comparison
from sde_jax.recorded.folder import compare as compare
