def test_a_report_can_be_written_as_soon_as_there_is_a_run(run, sde_jax):
    outcome = sde_jax("report", "--workdir", run).done()
    assert outcome.out.strip() == str((run / "report.html").absolute())
    page = (run / "report.html").read_text()
    assert "<h1" in page
    assert "beta_max" in page
    assert "jaxlib" in page


def test_a_report_goes_where_it_is_told(run, tmp_path, monkeypatch, sde_jax):
    monkeypatch.chdir(tmp_path)
    sde_jax("report", "--workdir", run.name, "--output", "pages/a.html").done()
    assert (tmp_path / "pages" / "a.html").is_file()
    assert not (run / "report.html").exists()


def test_a_damaged_file_of_numbers_is_named(run, sde_jax):
    (run / "likelihood.json").write_text('{"bits')
    (line,) = sde_jax("report", "--workdir", run).problems
    assert line.startswith(f"{run / 'likelihood.json'}: damaged (")
    assert line.endswith("remove it")
