"""The ranks of docs/architecture.md, and the house rules that a parser can see."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "sde_jax"
RANKS = [
    {"typing", "errors", "version"},
    {"pytree", "archives", "placing", "checks"},
    {"sde", "nn", "data", "metrics", "codec", "processes", "measurement"},
    {"prediction"},
    {"reverse", "ode"},
    {"sampling", "likelihood", "objective", "guidance"},
    {"training", "checkpoints", "particles", "ensembles", "tuning"},
    {"features", "classifiers"},
    {"report", "experiment"},
    {"testing", "recorded", "model", "paper"},
    {"certificate", "publishing"},
    {"commands"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
SOURCES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(), filename=str(path)) for path in SOURCES}
SCRIPTS = {path: ast.parse(path.read_text(), filename=str(path)) for path in (REPOSITORY / "launch").glob("*.py")}


def part(path: Path) -> str:
    """The module or package directly below sde_jax that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, dotted; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree: ast.AST) -> set[str]:
    """The modules and packages directly below sde_jax that a file imports."""
    return {name.split(".")[1] for name in imported(tree) if name.startswith("sde_jax.")}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: all but the bodies of functions."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def test_every_module_has_a_rank():
    assert {part(path) for path in SOURCES} <= RANK.keys()


def test_a_module_imports_only_lower_ranks():
    upwards = [
        f"{path.relative_to(PACKAGE)} (rank {RANK[part(path)]}) imports {there} (rank {RANK.get(there, 'none')})"
        for path, tree in TREES.items()
        for there in own(tree) - {part(path)}
        if RANK.get(there, len(RANKS)) >= RANK[part(path)]
    ]
    assert not upwards


def test_the_report_knows_nothing_of_the_rest():
    assert {there for path, tree in TREES.items() if part(path) == "report" for there in own(tree)} <= {
        "report",
        "errors",
    }


def test_only_nn_imports_flax():
    importers = {part(path) for path, tree in TREES.items() for name in imported(tree) if name.split(".")[0] == "flax"}
    assert importers == {"nn"}


def test_nothing_but_the_command_line_changes_the_settings_of_jax():
    changes = re.compile(r"jax\.config\.update|from jax import config|os\.environ\[[^]]*\] *=")
    assert {part(path) for path in SOURCES if changes.search(path.read_text())} == {"cli"}


def test_a_file_fits_300_lines():
    assert not [(str(path), n) for path in {**TREES, **SCRIPTS} if (n := len(path.read_text().splitlines())) > 300]


def test_a_function_fits_40_lines():
    lengths = {
        f"{path.relative_to(REPOSITORY)}: {f.name}": (f.end_lineno or 0) - f.lineno + 1
        for path, tree in {**TREES, **SCRIPTS}.items()
        for f in functions(tree)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > 40}


def test_names_say_what_things_are():
    forbidden = re.compile(r"(?i:.*_)?(?i:utils?|helpers?|lib)|_*Base[A-Z].*|_*get_.*")
    names = [path.stem for path in {**TREES, **SCRIPTS}]
    for tree in {**TREES, **SCRIPTS}.values():
        names += [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert not [name for name in names if forbidden.fullmatch(name)]


def test_importing_a_module_computes_nothing():
    calls = [
        f"{path.relative_to(PACKAGE)}: {ast.unparse(node)}"
        for path, tree in TREES.items()
        for node in at_import(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith(
            ("jnp.", "jax.numpy.", "jax.random.", "jax.device", "jax.local", "jax.jit")
        )
    ]
    assert not calls


def test_importing_the_library_and_its_configs_loads_nothing_heavy():
    program = (
        "import sys, runpy, sde_jax, sde_jax.experiment\n"
        "for path in sys.argv[1:]: runpy.run_path(path)['get_config']()\n"
        "heavy = 'tensorflow torch tensorflow_datasets sklearn matplotlib grain'.split()\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)\n"
    )
    configs = map(str, sorted((REPOSITORY / "configs").rglob("*.py")))
    result = subprocess.run([sys.executable, "-c", program, *configs], capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr


def test_the_vp_process_is_a_dozen_lines_of_code():
    tree = ast.parse((PACKAGE / "sde" / "vp.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [n for n in node.body if not isinstance(n, ast.Import | ast.ImportFrom)]
            node.body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    code = [line for line in ast.unparse(tree).splitlines() if line.strip()]
    assert len(code) <= 20, "\n".join(code)


def test_the_picture_in_the_documentation_shows_the_ranks_of_the_code():
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    lines = re.findall(r"^    (\d+)  (\S.*)$", text, re.M)
    shown = {name: int(rank) for rank, names in lines for name in names.split()}
    assert {part(path) for path in SOURCES} - {"__init__", "__main__"} <= shown.keys()
    for there in shown:
        for here in shown:
            assert (RANK[there] < RANK[here]) == (shown[there] < shown[here]), f"{there} and {here}"
