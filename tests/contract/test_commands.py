"""Every command that the pages below print: it runs, or it is known why not here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clones import Clone, install_environments, shell
from default_study import ROOT, TASK

from compute_optimal import cli
from compute_optimal.engines import NO_ENGINE, engine_version

PAGES = ("README.md", "config/README.md", "CONTRIBUTING.md")
_STARTS = r"(?:[A-Z]+=\S+ )?(?:make|python|snakemake|pip|hf|grep|source|duckdb)"

NOT_RUN = {
    "make test": "is this",
    "make help": "prints targets; test_every_target_that_is_printed_exists",
    "make verify": "test_verification.py runs it",
    "make audit": "needs minutes of an engine; tests/e2e/test_audit_by_drawing.py runs the verb",
    "make archive": "needs a clone and the network; test_archive.py",
    "make run CONFIG=config/smollm2.yaml": "nine minutes; test_pretrained.py runs its model",
    "make run ... SNAKEMAKE_OPTIONS='--set-threads draw_samples=4'": "as make run",
    "make run-gpu": "needs a GPU",
    "make check-gpu": "needs a GPU",
    "make check-engine": "test_engine_check_slice.py runs a slice of it",
    "make run-gpu CONFIG=config/one-gpu.yaml": "needs a GPU",
    "make engine": "makes the environment of this test",
    "make core": "makes the environment of the next command",
    "make micro": "trains all models: hours",
    "make choose-problems": "draws 2,400 problems: an hour",
    "make lab": "needs an environment of its own, and a browser",
    "make lint": "CI runs it beside the tests",
    "make conformance": "needs tokenizer files from the network",
    "make test-s3": "needs an environment of its own",
    "make test-profiles": "needs plugins of its own",
    "make test-slurm": "needs SLURM and root",
    "make bench": "takes minutes and measures",
    "make bench-analysis": "takes minutes and measures",
    "make lock": "needs the network",
    "python -m compute_optimal.study.config": "writes what test_config_documentation.py compares",
    "python -m compute_optimal import-gguf --output resources/models/SmolLM2-135M-Instruct-Q4_1": (
        "test_pretrained.py runs it"
    ),
    "python -m compute_optimal lock --config config/smollm2.yaml": "needs the folder of the last",
    'snakemake ... --config items="Table 3"': "says how any command is narrowed to an item",
    "make adopt": "needs rollouts of others; test_adopt_published.py",
    "MIRROR=/path/to/folder make adopt CONFIG=config/public.yaml": "needs the archives",
    "make adopt CONFIG=config/llama-rollouts.yaml COLLECTION=search-and-learn-llama-3.2-1b": (
        "needs the network; test_adopt_hub.py"
    ),
    "make adopt CONFIG=... COLLECTION=name": "as the last",
    "make ship": "test_verification.py runs the verb",
    "make test-paper-grid": "takes many minutes; is a test",
    "MIRROR=/path/to/folder make ...": "says how any command is given",
    "pip install --no-deps --require-hashes -r requirements/cluster.lock": "needs the network",
    "pip install s3fs": "needs the network",
    "hf auth login": "asks for a token",
    "source .venv/engine-cpu/bin/activate": "changes the shell only",
}
"""Commands that this test only parses, and why."""


def printed() -> Iterator[str]:
    """The commands of all pages, in their order, each once."""
    commands: dict[str, None] = {}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        # A block within a list is indented.
        for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.M | re.S):
            commands |= dict.fromkeys(re.sub(r"\s+#.*", "", line) for line in block.splitlines())
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
        spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))
        # A name alone ("`python`", "`source`") is no command, but for `make`.
        commands |= dict.fromkeys(
            span for span in spans if re.match(rf"{_STARTS} ", span) and span != "snakemake --lint"
        )
    return (" ".join(command.split()) for command in commands)


@pytest.fixture(scope="module")
def working(whole: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which ``make`` has been given once; the commands of the pages may change it."""
    folder = tmp_path_factory.mktemp("working") / "clone"
    shutil.copytree(whole.folder, folder, symlinks=True)
    clone = Clone(folder)
    install_environments(clone)
    return clone


def with_the_tiny_study(command: str, clone: Clone) -> str:
    if "plan" not in command:
        command = re.sub(r"config/[\w-]+\.yaml", "tiny.yaml", command)
    command = re.sub(r"CONFIG=(CONFIG|\.\.\.)", "CONFIG=tiny.yaml", command)
    command = re.sub(r"(--config|--configfile) CONFIG", r"\1 tiny.yaml", command)
    command = command.replace("s3://bucket/folder", f"{clone.folder}/there")
    if command in ("make", "make run"):
        command += " CONFIG=tiny.yaml"
    if command.startswith("snakemake") and "-n" not in command and "--unlock" not in command:
        command += " -n"
    return command


@pytest.mark.parametrize("command", [c for c in printed() if c not in NOT_RUN])
def test_a_printed_command_runs(command: str, working: Clone) -> None:
    line = with_the_tiny_study(command, working)
    status, output = shell(working, line, "engine-cpu" if "make run" in line else "core")
    assert "Traceback" not in output
    # The core environment has no engine; that of `make audit` has the one of these tests.
    has_engine = line.startswith("make") and engine_version() != NO_ENGINE
    if "audit" in line and not has_engine:
        assert status == 1
        assert "an engine comes with make audit" in output
        return
    assert status == 0, f"{line}\n{output[-4000:]}"


@pytest.mark.parametrize("command", NOT_RUN)
def test_what_is_not_run_is_printed_and_can_be_parsed(command: str, working: Clone) -> None:
    assert command in list(printed()), "take it out of NOT_RUN"
    words = [word for word in shlex.split(command) if not re.match(r"MIRROR=", word)]
    if words[0] == "make":
        line = with_the_tiny_study(command.replace(" ...", ""), working)
        status, output = shell(working, f"{line} --dry-run")
        assert status == 0, output
    elif words[:3] == ["python", "-m", "compute_optimal"]:
        assert cli._parser().parse_args(words[3:]).verb
    else:
        assert shell(working, f"type {words[0]} || true; bash -n -c {shlex.quote(command)}")[0] == 0


def test_every_target_that_is_printed_exists() -> None:
    """What ``make help`` prints is what the Makefile has: targets, groups, variables, examples."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    groups = re.split(r"^(?=\S)", printed.stdout, flags=re.M)
    targets = {
        name
        for group in groups
        if not group.startswith(("Variables", "Examples"))
        for names in re.findall(r"^  (\S+(?: [a-z-]+)*)  ", group, re.M)
        for name in names.split()
    }
    assert targets == set(" ".join(re.findall(r"^\.PHONY: (.*)$", text, re.M)).split()) - {
        "cluster-plugins"
    }
    (variables,) = (group for group in groups if group.startswith("Variables"))
    named = re.findall(r"\b[A-Z_]{4,}\b", variables)
    assert len(named) > 5
    assert all(re.search(rf"^{name} [:?]?=", text, re.M) or name == "MIRROR" for name in named)
    (examples,) = (group for group in groups if group.startswith("Examples"))
    for example in re.findall(r"^  make (.*)$", examples, re.M):
        first = shlex.split(example)[0]
        assert "=" in first or first in targets


def test_a_dry_run_of_make_trains_nothing() -> None:
    """GNU make runs a recipe line that calls make even in a dry run, and all that it joins."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    calling = [line.strip() for line in text.splitlines() if "$(MAKE)" in line and line[0] == "\t"]
    assert calling
    assert all(line.startswith("$(MAKE)") for line in calling)


def test_a_recipe_of_several_commands_ends_with_the_first_that_fails() -> None:
    """The shell goes on after a command that failed, with what an earlier run left behind."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    several = [
        line.strip().removeprefix("@")
        for line in text.splitlines()
        if line[:1] == "\t" and re.search(r";\s.*(\bsnakemake |python -m compute_optimal)", line)
    ]
    assert any("choose-problems" in line for line in several)
    assert [line for line in several if not line.startswith("$(STRICT)")] == []


def test_the_printed_query_gives_rows(whole: Clone) -> None:
    import duckdb

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"^```sql\n-- duckdb (\S+)\n(.*?)^```$", text, re.M | re.S)
    with duckdb.connect(str(whole.folder / query[0]), read_only=True) as database:
        for statement in database.extract_statements(query[1]):
            assert database.execute(statement).fetchall()


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("make CONFIG=nowhere.yaml", ["No such file", "nowhere.yaml"]),
        ("make CONFIG=typo.yaml", ["typo.yaml", "budgts: unknown key", "did you mean budgets"]),
        ("make CONFIG=broken.yaml", ["not valid YAML", "broken.yaml, line 2"]),
        ("make CONFIG=twice.yaml", ["'seed' stands twice", "twice.yaml, line 3"]),
        ("make CONFIG=octal.yaml", ["010 is octal to some", "octal.yaml, line 2"]),
        ("make CONFIG=config", ["Is a directory", "where: config"]),
        ("make plan CONFIG=typo.yaml", ["budgts"]),
        ("make plan HARDWARE=abacus", ["no hardware called abacus", "hardware.yaml"]),
        ("make fetch CONFIG=tiny.yaml", ["no address is given", "FROM="]),
        ("make publish CONFIG=tiny.yaml", ["no address is given", "TO=", "make ship"]),
        # 416 jobs, and nothing here that could run one.
        (
            "make CONFIG=config/paper.yaml",
            ["cells are not in the store", "no engine", "GPU-hours", "make run", "make run-gpu"],
        ),
        ("snakemake -n --configfile typo.yaml", ["typo.yaml", "budgts", "did you mean budgets"]),
        ("snakemake -n --configfile twice.yaml", ["'seed' stands twice", "twice.yaml, line 3"]),
        ("snakemake -n --configfile tiny.yaml --config seed=010", ["010", "--config seed"]),
        ("snakemake -n --configfile tiny.yaml --config budgets='[2048]'", ["budgets[0]", "1024"]),
        ("snakemake -n --configfile damaged.yaml", ["damaged", "problems-", ".parquet"]),
        ("make CONFIG=damaged.yaml", ["damaged", "problems-", ".parquet"]),
    ],
)  # fmt: skip
def test_a_refusal_is_one_message(command: str, parts: list[str], working: Clone) -> None:
    tiny = (working.folder / "tiny.yaml").read_text()
    for name, content in (
        ("typo", "name: a\nbudgts: [4]\n"),
        ("broken", "name: [a\n"),
        ("twice", "name: a\nseed: 1\nseed: 2\n"),
        ("octal", "name: a\nseed: 010\n"),
        ("damaged", tiny + "store: {shipped: damaged}\n"),
    ):
        (working.folder / f"{name}.yaml").write_text(content)
    if "damaged" in command and not (working.folder / "damaged").exists():
        status, output = shell(
            working, "python -m compute_optimal publish --config tiny.yaml --to damaged"
        )
        assert status == 0, output
        next((working.folder / "damaged/problems").glob(f"{TASK}-*/*.parquet")).write_bytes(b"")
    status, output = shell(working, command)
    assert status != 0
    assert output.count("error: ") == 1, output
    for part in (*parts, "  where: ", "  do:    "):
        assert part in output, output
    assert "Traceback" not in output
    assert 'File "' not in output
    assert not list((working.folder / ".snakemake/locks").glob("*"))


def test_who_stops_reading_stops_no_command() -> None:
    """Such as head: what is left to do is done, and nothing is said of a pipe."""
    command = [sys.executable, "-m", "compute_optimal", "results-folder"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stderr
        run.stdout.close()
        assert (run.stderr.read(), run.wait()) == (b"", 0)
