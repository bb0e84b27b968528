"""`sde-jax run`: train, sample, score, compare and report in one go; what is done already is not done again."""

from pathlib import Path
from typing import Any

from sde_jax import processes
from sde_jax.codec import encode
from sde_jax.commands import baseline, evaluate, likelihood, report, sample, side_files, train
from sde_jax.commands.evaluate.results import read
from sde_jax.commands.settings import lawless
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.training import Checkpoints


def run(experiment: Experiment, directory: Path, samples: int, accept_changed_data: bool = False) -> int:
    """Do all of it in a run's directory, write `results.json` and print a table; return the exit code.

    Raises `InputError`, before training, where the experiment has components that the other commands cannot read back.
    """
    Experiment.from_json(experiment.to_json())
    _require_law(experiment)
    code = train.run(experiment, directory, accept_changed_data)
    if code:
        return code
    workdir = Workdir(directory)
    with Checkpoints(workdir.checkpoints, read_only=True) as checkpoints:
        asked = {"checkpoint_step": checkpoints.latest, "seed": experiment.seed}
    picture = ".png" if workdir.read_record().is_image else ".npz"
    for name, sampler in experiment.samplers.items():
        settings = encode(sampler)
        done = _done(workdir, f"samples_{name}", picture, **asked, num_samples=samples, settings=settings)
        if not processes.first_says(done):
            print(f"sampling {samples} with {name} ...")
            sample.run(directory, name, samples, experiment.seed)
    settings = encode(experiment.likelihood)
    done = _done(workdir, "likelihood", ".npz", **asked, num_examples=None, settings=settings)
    if not processes.first_says(done):
        likelihood.run(directory, None, experiment.seed)
    _against_evaluations(workdir, experiment, asked["checkpoint_step"])
    if not processes.is_first():
        return 0
    small = workdir.read_record().size <= baseline.LARGEST
    if small and not _done(workdir, "baseline", ".npz"):
        print("fitting the baseline, a Gaussian mixture ...")
        baseline.run(workdir, experiment.seed)
    page = report.run(directory)
    numbers = report.results(workdir)
    workdir.write_json("results.json", numbers)
    print(_table(report.summary(numbers)))
    pictures = [directory / f"samples_{name}.png" for name in experiment.samplers]
    print(f"pictures: {', '.join(str(path) for path in pictures if path.exists()) or 'none, examples are no images'}")
    print(f"report:   {page}")
    return 0


def _against_evaluations(workdir: Workdir, experiment: Experiment, step: int) -> None:
    """Measure samples on grids of the numbers of steps that the evaluation names, unless that has been done."""
    request = evaluate.Request(("samples",), steps=experiment.evaluation.steps)
    jobs = request.jobs(experiment) if request.steps else []
    there = read(workdir, str(workdir.path / "evaluation"))
    rows = [row for row in there.rows if row.checkpoint_step == step] if there else []
    made = [(row.sampler, row.settings.get("sampler")) for row in rows]
    if processes.first_says(any((job.name, encode(job.sampler)) not in made for job in jobs)):
        print(f"measuring samples in {', '.join(map(str, request.steps))} steps ...")
        evaluate.run(workdir.path, request)


def _require_law(experiment: Experiment) -> None:
    """Raise `InputError` where a sampler or the bound asks for more than the objective will have learnt."""
    if experiment.likelihood.elbo_strata:
        experiment.objective.require_score(f"config.likelihood.elbo_strata = {experiment.likelihood.elbo_strata}")
    problems = lawless(experiment.objective, experiment.samplers)
    if problems:
        advice = "`run` draws with every sampler: change it by --config.samplers.NAME.solver=DDIM"
        raise InputError("\n".join(f"{line}; {advice}" for line in problems))


def _done(workdir: Workdir, name: str, ending: str, **asked: Any) -> bool:
    """Return whether the files of this name are there and were made as asked."""
    facts = side_files.facts(workdir.path / f"{name}.json")
    made = bool(facts) and all(facts.get(setting) == value for setting, value in asked.items())
    return made and (workdir.path / f"{name}{ending}").exists()


def _table(rows: list[tuple[str, object, str]]) -> str:
    lines = [(name, f"{value:.4g}" if isinstance(value, float) else f"{value:,}", text) for name, value, text in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(2)]
    return "\n".join(f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {text}" for name, value, text in lines)
