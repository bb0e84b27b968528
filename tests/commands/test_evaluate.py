import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

from sde_jax.commands import likelihood, sample
from sde_jax.commands.evaluate import held_out
from sde_jax.commands.evaluate.results import Results, Row, read
from sde_jax.commands.evaluate.run import doubts
from sde_jax.commands.evaluate.subject import Subject
from sde_jax.commands.workdir import Workdir, load
from sde_jax.data import Arrays
from sde_jax.features import Raw, Trained
from sde_jax.metrics import Frechet, Outputs
from sde_jax.ode import Tolerance
from sde_jax.training import BatchLoss, Symmetry

SMALL = ["--num_examples=6", "--num_samples=21", "--batch_size=8", "--config.evaluation.round_size=16"]
TOLERANCE = Tolerance(0.05, 0.05)
QUICK = ["--parts=samples", "--metrics=Energy", "--config.evaluation.neighbours=0", *SMALL]


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """The directory of a run of which everything was evaluated once; not to be changed."""
    from tests.conftest import invoke

    run = shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run")
    assert invoke("evaluate", "--workdir", run, "--cache", run.parent / "cache", *SMALL) == 0
    return run


@pytest.fixture(scope="module")
def model(trained):
    return load(Workdir(trained))


def rows_of(run) -> dict[str, Row]:
    return {row.metric: row for row in read(Workdir(run)).rows}


def test_a_row_states_what_its_number_is_of(evaluated):
    rows = rows_of(evaluated)
    assert [*rows] == ["loss", "bits_per_dim", "energy", "frechet", "sliced_wasserstein"]
    assert {row.checkpoint_step for row in rows.values()} == {12}
    assert (rows["loss"].samples, rows["bits_per_dim"].samples, rows["bits_per_dim"].passes) == (6, 6, 1)
    for name in ("energy", "frechet", "sliced_wasserstein"):
        row = rows[name]
        assert (row.sampler, row.steps, row.evaluations, row.samples) == ("pc", 4, 8.0, 21)
        assert (row.features, row.comparable) == ("raw", False)
        assert (row.reference_split, row.reference_samples) == ("train", 1500)
        assert row.protocol
        assert len(row.reference) == 64
    assert any("21 examples" in warning for warning in rows["frechet"].warnings)
    assert (evaluated / "evaluation.csv").read_text().count("\n") == 6


def test_samples_are_those_of_the_sample_command_and_all_of_them_are_measured(evaluated, trained, tmp_path):
    sample.run(evaluated, "pc", 21, 0, batch_size=24, output=tmp_path / "samples")
    drawn = np.load(tmp_path / "samples.npz")["samples"]
    with np.load(evaluated / "evaluation" / "samples_12_pc_4.npz") as file:
        # XLA sums in another order for another batch, which may move a number over the edge of its level.
        assert np.mean(file["samples"] != drawn) < 1e-3
        kept, neighbours = file["samples"], file["neighbours"]
        train = Workdir(trained).read_record().experiment.data.open().train
        for i in (0, 15):
            np.testing.assert_array_equal(neighbours[i, 0], train[int(file["neighbour_index"][i, 0])]["data"])
        assert neighbours.shape == (16, 4, 8, 8, 1)
    metric = Frechet()
    data = np.stack([train[i]["data"] for i in range(1500)])
    states = [
        metric.update(metric.init(), Outputs(x.reshape(len(x), -1).astype(np.float32), None, np.arange(len(x))))
        for x in (kept, data)
    ]
    assert rows_of(evaluated)["frechet"].value == pytest.approx(metric.result(*states).value, rel=1e-9)


def test_bits_per_dimension_are_those_of_the_likelihood_command(evaluated, model):
    source, rule = model.record.experiment.data.open().held_out, likelihood.by_flow(model, TOLERANCE)
    scores, row = likelihood.score(model, source, 6, 0, rule), rows_of(evaluated)["bits_per_dim"]
    assert row.value == pytest.approx(scores.bits.mean(), rel=1e-6)
    assert row.standard_error == pytest.approx(scores.bits.std(ddof=1) / 6**0.5, rel=1e-5)
    assert row.evaluations == scores.evaluations.mean()
    with np.load(evaluated / "evaluation" / "likelihood_12.npz") as file:
        np.testing.assert_allclose(file["bits_per_dim"], scores.bits, rtol=1e-6)
        assert file["index"].tolist() == [*range(6)]


def test_the_same_evaluation_again_measures_nothing_and_says_the_same(evaluated, tmp_path, sde_jax, monkeypatch):
    run = shutil.copytree(evaluated, tmp_path / "run")
    before = (run / "evaluation.json").read_text()
    (run / "evaluation.json").unlink()
    monkeypatch.setattr(held_out, "passing", lambda *_: pytest.fail("measured again"))
    again = sde_jax("evaluate", "--workdir", run, "--cache", evaluated.parent / "cache", *SMALL, "--json").done()
    assert (run / "evaluation.json").read_text() == before
    assert Results.from_json(json.loads(again.out)) == read(Workdir(run))


def test_a_sweep_has_a_row_for_every_number_of_steps_beside_those_there_were(evaluated, tmp_path, sde_jax):
    run = shutil.copytree(evaluated, tmp_path / "run")
    cache = ["--cache", evaluated.parent / "cache"]
    out = sde_jax("evaluate", "--workdir", run, *QUICK, *cache, "--steps=2,3", "--metrics=energy").done().out
    assert [(row.steps, row.evaluations) for row in read(Workdir(run)).rows if row.metric == "energy"] == [
        (2, 4.0),
        (3, 6.0),
        (4, 8.0),
    ]
    assert len(out.splitlines()) == 3
    assert len(read(Workdir(run)).rows) == 7
    picture = (run / "evaluation_quality_energy.svg").read_text()
    assert all(f">{calls}</text>" in picture for calls in (4, 6, 8))


def test_an_examples_loss_is_the_trainings_and_depends_on_the_seed_and_its_index_alone(model, tmp_path):
    data, experiment = np.random.default_rng(0).integers(0, 17, (9, 8, 8, 1), np.uint8), model.record.experiment
    sources = {"all": Arrays(data[:7]), "others": Arrays(np.concatenate([data[7:], data[2:4]]))}

    def losses(name: str, seed: int) -> np.ndarray:
        evaluation = replace(experiment.evaluation, batch_size=4, seed=seed, loss_draws=3)
        record = replace(model.record, experiment=replace(experiment, evaluation=evaluation))
        changed = replace(model, record=record)
        parts.setdefault(name, held_out.Loss(changed, sources[name], len(sources[name])))
        return parts[name].measure(Subject(Workdir(tmp_path / f"{name}-{seed}"), changed, None, "digest"))

    parts: dict[str, held_out.Loss] = {}
    found = losses("all", 0)
    assert found.shape == (7,)
    np.testing.assert_allclose(losses("others", 0)[2:], found[2:4], rtol=1e-6)
    assert not np.isclose(losses("all", 1), found, rtol=1e-3).any()
    loss = BatchLoss(model.apply, experiment.sde, experiment.objective, model.record.encoding)
    key = jax.random.fold_in(jax.random.key(0), 3)
    expected = jax.jit(loss)(model.params, key, {"data": np.repeat(data[3:4], 3, 0)})
    np.testing.assert_allclose(found[3], expected, rtol=1e-4)


def test_checkpoints_one_after_the_other_have_rows_of_their_own(run, sde_jax):
    sde_jax("evaluate", "--workdir", run, "--parts=loss", "--checkpoints=all", *SMALL[:1]).done()
    found = {row.checkpoint_step: row.value for row in read(Workdir(run)).rows}
    assert [*found] == [8, 12]
    assert found[8] != found[12]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--metrics=frechett"], "--metrics=frechett: no such metric; did you mean frechet"),
        (
            ["--metrics=FID"],
            "--metrics=FID: no such metric; here it is Frechet, which is the FID of --features Inception",
        ),
        (["--metrics=energy,KID"], "here it is Kernel"),
        (["--sampler=pcc"], "evaluation.samplers: no sampler 'pcc'; did you mean pc"),
        (["--sampler=pc,foo"], "evaluation.samplers: no sampler 'foo'; expected one of Ancestral, DDIM"),
        (["--solver=Foo"], "--solver=Foo: no such solver; expected one of DEIS"),
        (["--parts=sample"], "--parts=sample: no such part; did you mean samples?"),
        (["--checkpoints=11"], "no checkpoint of step 11 in"),
        (["--num_samples=1"], "num_samples = 1: expected 2 or more"),
        (["--features=Raww"], "config.evaluation.features = 'Raww': no such Features; did you mean Raw?"),
        (["--sampler=ode", "--steps=5"], "--steps: ode makes steps of its own"),
        (["--average=ema"], "--average=ema: this run has one average alone"),
        (
            ["--config.training.steps=5"],
            "--config.training.steps: `evaluate` changes evaluation, likelihood,",
        ),
        (["--config.samplers.pc.end=2"], "end = 2"),
        (["--config.data=Moons"], "examples of shape (2,) with None levels; expected those that the run was trained"),
        (["--reference=none.npz"], "none.npz"),
        (
            ["--metrics=Energy", "--reference=x.npz"],
            "--reference=x.npz: mean and covariance, which serve Frechet alone",
        ),
        (["--metrics=Energy", "--write_reference=x.npz"], "--write_reference=x.npz: mean and covariance"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_measured(trained, sde_jax, flags, told, contents, tmp_path):
    before = contents(trained)
    problems = sde_jax("evaluate", "--workdir", trained, "--cache", tmp_path, *flags).problems
    assert any(told in line for line in problems), problems
    assert contents(trained) == before


def test_many_raw_numbers_are_doubted_and_few_are_not():
    (line,) = doubts(Raw(), (32, 32, 3))
    assert "3,072 numbers" in line
    assert [*doubts(Raw(), (8, 8, 1)), *doubts(Trained("features"), (32, 32, 3))] == []


def test_a_run_without_checkpoints_is_refused(tmp_path, trained, sde_jax):
    (tmp_path / "run").mkdir()
    shutil.copy(trained / "config.json", tmp_path / "run")
    (line,) = sde_jax("evaluate", "--workdir", tmp_path / "run").problems
    assert "no checkpoint there yet" in line


def test_data_that_hold_nothing_out_have_no_loss(trained, sde_jax, tmp_path):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).integers(0, 17, (20, 8, 8, 1), np.uint8))
    flags = ["--config.data=ArrayFile", f"--config.data.path={tmp_path / 'data.npy'}"]
    problems = sde_jax(
        "evaluate", "--workdir", trained, *flags, "--config.data.held_out=0", "--config.data.levels=17"
    ).problems
    assert any("hold nothing out" in line for line in problems), problems


def test_a_reference_is_written_and_taken_from_its_file_without_the_data(evaluated, tmp_path, sde_jax):
    run, file = shutil.copytree(evaluated, tmp_path / "run"), tmp_path / "reference.npz"
    command = ["evaluate", "--workdir", run, "--cache", evaluated.parent / "cache", *QUICK[2:], "--parts=samples"]
    sde_jax(*command, "--metrics=frechet", "--write_reference", file).done()
    computed = rows_of(run)["frechet"]
    elsewhere = ["--config.data=Images", "--config.data.path=/nowhere", "--reference", file]
    sde_jax(*command, "--metrics=frechet", *elsewhere).done()
    given = rows_of(run)["frechet"]
    assert given.value == pytest.approx(computed.value, rel=1e-9)
    assert (given.reference, given.reference_split) == (computed.reference, "reference.npz")
    assert any("data are not here" in warning for warning in given.warnings)
    problems = sde_jax(*command, "--metrics=frechet,energy", *elsewhere).problems
    assert any("the run's data are needed" in line for line in problems)


@pytest.mark.slow
def test_a_network_that_hears_labels_is_told_them_and_nothing_is_withheld_or_moved(tmp_path, sde_jax):
    run = tmp_path / "run"
    flags = [
        "--config.network.condition=ClassLabel",
        "--config.network.condition.classes=10",
        "--config.training.label_dropout=0.5",
        "--config.training.symmetry.left_right=true",
    ]
    sde_jax("train", *sde_jax.tiny, *flags, "--workdir", run).done()
    in_turn = "--config.evaluation.uniform_labels=true"
    sde_jax("evaluate", "--workdir", run, "--parts=loss,samples", "--cache", tmp_path / "cache", *SMALL, in_turn).done()
    model = load(Workdir(run))
    example = model.record.experiment.data.open().held_out[3]
    loss = replace(model.record.loss(model.apply), label_dropout=0.0, symmetry=Symmetry())
    copies = {name: np.repeat(values[None], 16, 0) for name, values in example.items()}
    expected = jax.jit(loss)(model.params, jax.random.fold_in(jax.random.key(0), 3), copies)
    (file,) = [path for path in (run / "evaluation" / "rounds").iterdir() if '"loss"' in str(np.load(path)["of"])]
    with np.load(file) as state:
        np.testing.assert_allclose(state["leaf_1"][3], expected, rtol=1e-4)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(np.arange(12))
    drawn = model.sample(keys, model.samplers["pc"], conditions=model.conditions(np.arange(12) % 10))
    with np.load(run / "evaluation" / "samples_12_pc_4.npz") as kept:
        assert np.mean(kept["samples"][:12] != model.record.encoding.values(drawn.x)) < 1e-2
