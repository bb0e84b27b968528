"""What the experiments of Song et al. 2021 share: the official code's 39, of which configs/ has one file each.

A file names what is its own: data, noise levels, network, training. The rest is here, with the numbers of the official
configurations. What is otherwise, on purpose:

- Training images are dequantised as they are for the likelihood; theirs stay whole numbers over 255.
- The average of the parameters begins with a ramp, as in their PyTorch code; their JAX code has none.
- The times of a batch are stratified, theirs independent: the loss has the same mean.
- A likelihood is solved for every image by itself, and all held-out images are scored; theirs shares its steps over a
  batch, and leaves out what does not fill one.
- The sampler "ode" ends where its grid ends, without a last step of reverse diffusion.
- Between the rows of DDPM's table the noise is interpolated; theirs is that of the row below.

Data are a folder or an archive of images, `--config.data.path=...`, prepared as the official code does: CIFAR-10 as it
is; CelebA cut to the central 140 x 140 and reduced to 64 x 64; LSUN for 128 x 128 reduced to a shorter side of 128 and
cut to the central square, for 256 x 256 cut to the central square and reduced by bicubic interpolation; CelebA-HQ and
FFHQ as StyleGAN's records of that size. The held-out images are the last in name order: CIFAR-10's test images, the
validation images of CelebA and LSUN. Of CelebA-HQ and FFHQ none are held out: the official code evaluates on the images
that it trains on, and we do not. All are mirrored at random.
"""

from dataclasses import replace

from sde_jax.data import Images
from sde_jax.experiment import Experiment, Sampler, Scoring, Training
from sde_jax.likelihood import Hutchinson
from sde_jax.nn import (
    FIR,
    Architecture,
    BySigma,
    ByTable,
    DDPMNet,
    Fourier,
    InputResidual,
    InputSkip,
    NCSNpp,
    OutputSkip,
    Positional,
)
from sde_jax.objective import HalfSum, Mean, Objective, Reduction, Simple, TableTimes, Uniform
from sde_jax.ode import Tolerance
from sde_jax.prediction import Deviation, Epsilon, ScaledTime, ScoreFunction, TableLabel
from sde_jax.sampling import (
    BatchLangevin,
    EulerSteps,
    FixedGridSolver,
    Identity,
    Langevin,
    NoCorrection,
    OfficialGrid,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    Tables,
)
from sde_jax.sde import DDPM, SMLD, VE, VP
from sde_jax.training import Adam, ExponentialAverage

SEED = 42
POSITIVE = (0.0, 1.0)
"""The range of the data in the VE experiments; in the others it is [-1, 1]. The networks see [-1, 1] in all."""


def cifar10() -> Images:
    """Return CIFAR-10, 32 x 32: 50,000 images to train with and 10,000 test images, 1,000 of each class."""
    return Images("cifar10.zip", held_out_per_class=1000)


def celeba() -> Images:
    """Return CelebA, 64 x 64, without labels: 162,770 images to train with and 19,867 validation images."""
    return Images("celeba64.zip", held_out_per_class=19_867)


def lsun(category: str, size: int = 256) -> Images:
    """Return a category of LSUN, without labels: all its training images and its 300 validation images."""
    return Images(f"lsun_{category}{size}.zip", held_out_per_class=300)


def celebahq(size: int) -> Images:
    """Return CelebA-HQ: 30,000 images to train with."""
    return Images(f"celebahq{size}.zip", held_out_per_class=0)


def ffhq(size: int) -> Images:
    """Return FFHQ: 70,000 images to train with."""
    return Images(f"ffhq{size}.zip", held_out_per_class=0)


def ddpmpp(blocks_per_level: int = 4) -> NCSNpp:
    """Return DDPM++ for 32 x 32; with 8 blocks a level it is called deep."""
    return NCSNpp(
        features=128,
        channel_multipliers=(1, 2, 2, 2),
        blocks_per_level=blocks_per_level,
        attention_resolutions=(16,),
        dropout=0.1,
        embedding=Positional(),
    )


def ncsnpp(blocks_per_level: int = 4) -> NCSNpp:
    """Return NCSN++ for 32 x 32 and 64 x 64; with 8 blocks a level it is called deep."""
    return replace(ddpmpp(blocks_per_level), resampling=FIR(kernel=(1, 3, 3, 1)), input_pyramid=InputResidual())


def ncsnpp_of_skips(features: int, channel_multipliers: tuple[int, ...], blocks_per_level: int) -> NCSNpp:
    """Return NCSN++ for 256 x 256 and beyond."""
    return NCSNpp(
        features=features,
        channel_multipliers=channel_multipliers,
        blocks_per_level=blocks_per_level,
        attention_resolutions=(16,),
        dropout=0.0,
        resampling=FIR(kernel=(1, 3, 3, 1)),
        input_pyramid=InputSkip(),
        output_pyramid=OutputSkip(),
    )


def ncsnpp_256() -> NCSNpp:
    """Return NCSN++ for 256 x 256."""
    return ncsnpp_of_skips(128, (1, 1, 2, 2, 2, 2, 2), blocks_per_level=2)


def ncsnpp_1024() -> NCSNpp:
    """Return NCSN++ for 1024 x 1024."""
    return ncsnpp_of_skips(16, (1, 2, 4, 8, 16, 32, 32, 32), blocks_per_level=1)


def ddpm_32() -> DDPMNet:
    """Return DDPM's network for 32 x 32."""
    return DDPMNet(
        features=128,
        channel_multipliers=(1, 2, 2, 2),
        blocks_per_level=2,
        attention_resolutions=(16,),
        dropout=0.1,
    )


def ddpm_256() -> DDPMNet:
    """Return DDPM's network for 256 x 256."""
    return replace(ddpm_32(), channel_multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0)


def table(chain: SMLD) -> ByTable:
    """Return the division by the chain's sigma_i, of which a label names one."""
    return ByTable(chain.sigma_min, chain.sigma_max, chain.steps)


def training(
    decay: float,
    steps: int = 1_300_001,
    batch_size: int = 128,
    learning_rate: float = 2e-4,
    checkpoint_every: int = 10_000,
) -> Training:
    """Return how the U-Nets were trained: 5,000 steps of warm-up, gradients clipped at norm 1, averages of `decay`."""
    optimizer = Adam(learning_rate, warmup=5000, clip=1.0, b1=0.9, b2=0.999, eps=1e-8, from_zero=True)
    return Training(
        steps=steps,
        batch_size=batch_size,
        flip=True,
        optimizer=optimizer,
        average=ExponentialAverage(decay=decay),
        log_every=50,
        checkpoint_every=checkpoint_every,
    )


def training_large(decay: float, batch_size: int = 64, learning_rate: float = 2e-4) -> Training:
    """Return how the U-Nets for 256 x 256 and beyond were trained."""
    return training(decay, 2_400_001, batch_size, learning_rate, checkpoint_every=5000)


def training_refinenet(decay: float, learning_rate: float) -> Training:
    """Return how NCSN and NCSNv2 were trained: without warm-up and clipping; decay 0 is no average."""
    optimizer = Adam(learning_rate=learning_rate, warmup=0, clip=0.0, b1=0.9, b2=0.999, eps=1e-8)
    return replace(training(decay), optimizer=optimizer)


def ve(
    sde: VE,
    levels: int,
    snr: float,
    data: Images,
    network: NCSNpp,
    training: Training,
    reduction: Reduction | None = None,
) -> Experiment:
    """Return an experiment on the VE SDE, sampled by reverse diffusion and Langevin steps, `levels` of both."""
    tables = Tables(SMLD(sde.sigma_min, sde.sigma_max, levels))
    solver = PredictorCorrector(ReverseDiffusion(discretization=tables), BatchLangevin(snr, 1, tables))
    return Experiment(
        data=data,
        data_range=POSITIVE,
        sde=sde,
        network=replace(network, embedding=Fourier(scale=16.0), scale=BySigma(), centered=False),
        objective=Objective(
            ScoreFunction(Deviation()), Simple(), Uniform(start=1e-5), reduction=reduction or HalfSum()
        ),
        training=training,
        samplers={"pc": Sampler(solver, levels, 1e-5, OfficialGrid()), "ode": _ode(levels)},
        likelihood=_scoring(),
        seed=SEED,
    )


def smld(chain: SMLD, snr: float, data: Images, network: NCSNpp | DDPMNet, training: Training) -> Experiment:
    """Return an experiment on the chain of SMLD, sampled as those on the VE SDE."""
    tables = Tables(chain)
    solver = PredictorCorrector(ReverseDiffusion(discretization=tables), BatchLangevin(snr, 1, tables))
    return _smld(chain, solver, data, replace(network, scale=table(chain), centered=False), training)


def annealed(
    chain: SMLD, snr: float, moves: int, data: Images, network: Architecture, training: Training
) -> Experiment:
    """Return an experiment on the chain of SMLD, sampled by annealed Langevin dynamics, `moves` at a level."""
    return _smld(chain, PredictorCorrector(Identity(), Langevin(snr, moves, Tables(chain))), data, network, training)


def _smld(
    chain: SMLD, solver: PredictorCorrector, data: Images, network: Architecture, training: Training
) -> Experiment:
    return Experiment(
        data=data,
        data_range=POSITIVE,
        sde=chain,
        network=network,
        objective=Objective(ScoreFunction(TableLabel()), Simple(), TableTimes(), reduction=HalfSum()),
        training=training,
        samplers={"pc": Sampler(solver, chain.steps, 1e-5, OfficialGrid())},
        likelihood=_scoring(),
        seed=SEED,
    )


def vp(sde: VP, data: Images, network: NCSNpp | DDPMNet, training: Training) -> Experiment:
    """Return an experiment on the VP or the sub-VP SDE, sampled by Euler-Maruyama in 1,000 steps."""
    solver = PredictorCorrector(ReverseDiffusion(discretization=EulerSteps(1000)), NoCorrection())
    return Experiment(
        data=data,
        sde=sde,
        network=network,
        objective=Objective(Epsilon(ScaledTime(999.0)), Simple(), Uniform(start=1e-5), reduction=Mean()),
        training=training,
        samplers={"pc": Sampler(solver, 1000, 1e-3, OfficialGrid()), "ode": _ode(1000)},
        likelihood=_scoring(),
        seed=SEED,
    )


def ddpm(
    chain: DDPM, predictor: FixedGridSolver, data: Images, network: NCSNpp | DDPMNet, training: Training
) -> Experiment:
    """Return an experiment on the chain of DDPM, sampled by a predictor in as many steps."""
    return Experiment(
        data=data,
        sde=chain,
        network=network,
        objective=Objective(Epsilon(TableLabel()), Simple(), TableTimes(), reduction=Mean()),
        training=training,
        samplers={"pc": Sampler(PredictorCorrector(predictor, NoCorrection()), chain.steps, 1e-3, OfficialGrid())},
        likelihood=_scoring(),
        seed=SEED,
    )


def _ode(steps: int) -> Sampler:
    return Sampler(ProbabilityFlow(Tolerance(rtol=1e-5, atol=1e-5)), steps, end=1e-5)


def _scoring() -> Scoring:
    tolerance = Tolerance(rtol=1e-5, atol=1e-5)
    return Scoring(Hutchinson(1), tolerance, start=1e-5, passes=5, batch_size=128)
