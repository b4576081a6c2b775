"""What other people's machines are like: their make, their environment variables, their git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from default_study import ROOT

ENVIRONMENTS = ("core", "test", "engine-cpu", "engine-cuda", "s3")
COMMANDS = ("python", "ruff", "snakefmt", "snakemake", "mypy")

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
env > "$LOG.environment"
[ "$(wc -l < "$LOG")" -ne "$FAIL" ] || exit 7
case "$*" in
  *"-m venv"*) mkdir -p .venv/core/bin && cp "$0" .venv/core/bin/python ;;
  *results-folder*) echo results ;;
esac
"""
"""Stands for every command of an environment: counts its calls and fails at one of them."""

Make = Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make`` in a folder whose environments hold stubs: its result, and what it called."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    python = tmp_path / "python"
    python.write_text(STUB)
    python.chmod(0o755)
    for environment in ENVIRONMENTS:
        commands = folder / ".venv" / environment / "bin"
        commands.mkdir(parents=True)
        for command in COMMANDS:
            shutil.copy(python, commands / command)
        (commands.parent / ".done").touch()

    def run(
        *arguments: str, fail: int = 0, environment: Mapping[str, str] | None = None
    ) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            # As GNU make 3.81 would: it knows no .SHELLFLAGS.
            ["make", ".SHELLFLAGS=-c", f"PYTHON={python}", "CORES=1", *arguments],
            cwd=folder,
            env=os.environ | {"LOG": str(log), "FAIL": str(fail)} | (environment or {}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done, log.read_text().splitlines()

    return run


@pytest.mark.parametrize(
    "target",
    [
        "study",
        "run",
        "run-gpu",
        "micro",
        "choose-problems",
        "ship",
        "verify",
        "lint",
        "bench",
        "core",
    ],
)
def test_a_recipe_ends_at_the_command_that_fails(make: Make, target: str, tmp_path: Path) -> None:
    def prepared() -> None:
        if target == "core":
            (tmp_path / "clone/.venv/core/.done").unlink(missing_ok=True)

    prepared()
    done, calls = make(target)
    assert done.returncode == 0, done.stderr
    assert calls
    for number, call in enumerate(calls, 1):
        prepared()
        done, made = make(target, fail=number)
        assert done.returncode != 0, call
        # The message about an old Python names its version.
        assert [call for call in made if "--version" not in call] == calls[:number]
        assert "report:" not in done.stdout
        assert not (target == "core" and (tmp_path / "clone/.venv/core/.done").exists())


def test_a_run_that_fails_names_its_own_log(make: Make, tmp_path: Path) -> None:
    """Not that of the run that holds the folder's lock, nor of one that was turned away since."""
    logs = tmp_path / "clone/.snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").touch()
    assert ".snakemake/log" not in make("run", fail=2)[0].stderr
    stub = tmp_path / "clone/.venv/engine-cpu/bin/snakemake"
    stub.write_text(
        "#!/bin/sh\ncd .snakemake/log\ntouch 2.snakemake.log\ntouch 3.snakemake.log\n"
        "touch -t 203001010000 1.snakemake.log\nexit 7\n"
    )
    assert "the whole log: .snakemake/log/2.snakemake.log\n" in make("run")[0].stderr
    shutil.rmtree(logs.parent)
    stub.write_text("#!/bin/sh\nexit 7\n")
    assert "the whole log: none was written\n" in make("run")[0].stderr


@pytest.mark.parametrize("target", ["study", "micro", "ship", "bench"])
def test_make_n_runs_nothing(make: Make, target: str) -> None:
    done, calls = make("-n", target)
    assert done.returncode == 0, done.stderr
    assert calls == []


def environment_seen(folder: Path) -> dict[str, str]:
    """The environment of the last stub that ran."""
    lines = (folder / "log.environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.mark.parametrize(
    ("target", "variables"),
    [
        ("study", ["CONFIG", "ITEMS"]),
        ("run", ["CONFIG", "ITEMS"]),
        ("run-gpu", ["CONFIG", "ITEMS"]),
        ("plan", ["CONFIG", "ITEMS", "HARDWARE"]),
        ("verify", ["CONFIG"]),
        ("adopt", ["CONFIG"]),
        ("archive", ["ARCHIVE"]),
        ("fetch", ["CONFIG", "ITEMS", "FROM"]),
        ("publish", ["CONFIG", "TO"]),
        ("lint", ["CONFIG"]),
    ],
)
def test_a_path_with_blanks_and_quotes_is_one_word(
    make: Make, target: str, variables: list[str]
) -> None:
    # The stubs join their words by single blanks.
    values = {name: f'my  {name}\'s "file"' for name in variables}
    done, calls = make(target, *(f"{name}={value}" for name, value in values.items()))
    assert done.returncode == 0, done.stderr
    for value in values.values():
        assert [call for call in calls if value in call], calls
    assert not [call for call in calls if "my CONFIG" in call]


@pytest.mark.parametrize("home", ["", "/", "/nowhere"])
def test_who_has_no_home_gets_one(make: Make, tmp_path: Path, home: str) -> None:
    if os.access("/", os.W_OK) and home == "/":
        pytest.skip("this user may write anywhere")
    make("verify", environment={"HOME": home})
    assert Path(environment_seen(tmp_path)["HOME"]) == tmp_path / "clone/.venv/home"
    assert (tmp_path / "clone/.venv/home").is_dir()
    make("verify", environment={"HOME": str(tmp_path)})
    assert environment_seen(tmp_path)["HOME"] == str(tmp_path)


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({"LC_ALL": "POSIX"}, "C.UTF-8"),
        ({"LC_ALL": "", "LANG": "C"}, "C.UTF-8"),
        ({"LC_ALL": "", "LANG": "de_DE.ISO-8859-1"}, "C.UTF-8"),
        ({"LC_ALL": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LC_ALL": "", "LANG": "en_US.utf8"}, ""),
    ],
)
def test_files_are_utf_8_in_every_locale(
    make: Make, tmp_path: Path, said: dict[str, str], seen: str
) -> None:
    make("verify", environment={"LC_CTYPE": "", **said})
    variables = environment_seen(tmp_path)
    assert (variables["LC_ALL"], variables["PYTHONUTF8"]) == (seen, "1")


def test_who_has_no_name_gets_one(make: Make, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 12345; exit 1\n")
    (tmp_path / "id").chmod(0o755)
    nameless = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    make("verify", environment=nameless)
    assert environment_seen(tmp_path)["LOGNAME"] == "nobody"


HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_CONSTRAINT": "/nowhere/constraints.txt",
}
"""What a user's shell may say to Python and pip in general."""


def test_pip_and_python_are_told_nothing_that_was_meant_for_others(
    make: Make, tmp_path: Path
) -> None:
    said = HOSTILE | {"PIP_INDEX_URL": "file:///packages", "CONFIG": "release", "TO": "nobody"}
    done, calls = make("study", "publish", environment=said)
    assert done.returncode == 0, done.stderr
    assert not any("release" in call or "nobody" in call for call in calls)
    seen = environment_seen(tmp_path)
    assert seen["PIP_USER"] == "0"
    assert not {name for name in HOSTILE if name in seen} - {"PIP_USER"}
    assert seen["PIP_INDEX_URL"] == "file:///packages"


def test_an_old_python_is_named(make: Make, tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.13\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "clone/.venv/core/.done").unlink()
    done, _ = make("core", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"Python 3.11 or newer is needed; {old} is Python 3.10.13" in done.stdout


def test_git_changes_no_byte_whatever_its_settings(tmp_path: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")

    def git(*arguments: str, cwd: Path = ROOT, **kwargs: str) -> str:
        command = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", *arguments]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=True, **kwargs
        ).stdout

    clone = tmp_path / "clone"
    git("clone", "--quiet", "--shared", str(ROOT), str(clone))
    listed = [line.split(maxsplit=3) for line in git("ls-files", "-s", cwd=clone).splitlines()]
    paths = "".join(f"{path}\n" for *_, path in listed)
    hashed = git("hash-object", "--no-filters", "--stdin-paths", cwd=clone, input=paths)
    assert len(listed) > 1000
    assert hashed.split() == [blob for _, blob, *_ in listed]


@pytest.mark.parametrize("image", ["engine-cpu", "engine-cuda"])
def test_an_image_runs_the_package_of_the_clone_at_hand(image: str, tmp_path: Path) -> None:
    """Apptainer sources the image's environment in the folder that a job runs in."""
    package = tmp_path / "clone/workflow/compute_optimal"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    definition = (ROOT / f"container/{image}.def").read_text()
    environment = definition.split("%environment\n")[1].split("\n%")[0]
    program = "import compute_optimal; print(compute_optimal.__file__)"
    done = subprocess.run(
        ["sh", "-euc", f'{environment}\n"$0" -c "$1"', sys.executable, program],
        cwd=tmp_path / "clone",
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == package / "__init__.py"


def test_the_database_opens_in_an_old_duckdb(finished_folder: Path, tmp_path: Path) -> None:
    """From the package index, into an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "old"], check=True)
    python = tmp_path / "old/bin/python"
    for version in ("1.1.3", "1.4.1"):  # the first that there is for this Python
        pip = [python, "-m", "pip", "--quiet", "install", "--no-deps", "--only-binary", ":all:"]
        installed = subprocess.run(
            [*pip, f"duckdb=={version}"], capture_output=True, text=True, timeout=300
        )
        if installed.returncode == 0:
            break
    else:
        pytest.skip(f"no DuckDB 1.x to be had: {installed.stderr.strip()[-200:]}")
    program = (
        "import duckdb, sys\n"
        "with duckdb.connect(sys.argv[1], read_only=True) as database:\n"
        "    tables = database.execute('SELECT table_name FROM information_schema.tables')\n"
        "    for (name,) in tables.fetchall():\n"
        "        print(name, len(database.execute(f'SELECT * FROM {name}').fetchall()))\n"
    )
    (database,) = finished_folder.rglob("analysis.duckdb")
    done = subprocess.run(
        [python, "-c", program, database], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line.split() for line in done.stdout.splitlines())
    assert int(rows["curves"]) > 0
    assert int(rows["problems"]) > 0
