"""One DuckDB file of everything that is known of a study; figures and tables are queries on it."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from compute_optimal.adopt import FILES as ADOPTED_FILES
from compute_optimal.adopt import SOLUTIONS
from compute_optimal.analyse.accuracy import CURVES, OUTCOMES, RATED
from compute_optimal.analyse.adaptive_budgets import ADAPTIVE
from compute_optimal.analyse.adopted_pools import TABLES as POOL_TABLES
from compute_optimal.analyse.choice_dependence import CHOICE_DEPENDENCE, examine_dependence
from compute_optimal.analyse.descriptions import FORMAT, comment, describe
from compute_optimal.analyse.predicted_difficulty import TABLES as PREDICTION_TABLES
from compute_optimal.analyse.prm_ability import RATES
from compute_optimal.analyse.prm_cases import CASES
from compute_optimal.analyse.prm_gains import TABLES as GAIN_TABLES
from compute_optimal.analyse.prm_gains import GainSettings, examine_gains
from compute_optimal.analyse.published import (
    OPTSCALE,
    PAPER,
    PRETRAINING,
    PROCESSBENCH,
    load_optscale,
    load_paper,
    load_pretraining,
    load_processbench,
)
from compute_optimal.analyse.reward_models import TABLES as REWARD_MODEL_TABLES
from compute_optimal.analyse.reward_models import examine_solutions
from compute_optimal.analyse.score_quality import TABLES as SCORE_TABLES
from compute_optimal.analyse.selection import TABLES as SELECTION_TABLES
from compute_optimal.analyse.statements import IN_ORDER, statement
from compute_optimal.analyse.uncertain_buckets import BUCKET_ACCURACY
from compute_optimal.judge.answers import GRADED
from compute_optimal.judge.pruning import PRUNING
from compute_optimal.store import places
from compute_optimal.store.columns import COUNT, REAL, TEXT, TRUTH, Column, Columns, common
from compute_optimal.store.partitions import Partition, write_parquet
from compute_optimal.store.schemas import COUNTS, ORIGIN, SECONDS
from compute_optimal.store.storage import FACTS, Storage
from compute_optimal.study import cells
from compute_optimal.study.config import PolicyEntry, Study
from compute_optimal.study.coverage import COVERAGE, Stock, coverage
from compute_optimal.study.spec import canonical
from compute_optimal.tasks import step_checker

FILES: dict[str, Columns] = {
    "problems": FACTS.of("task"),
    **{
        name: columns.of("task", "policy")
        for name, columns in {
            "answers": GRADED,
            "rated": RATED,
            "curve_points": CURVES,
            "outcomes": OUTCOMES,
            **SELECTION_TABLES,
            **SCORE_TABLES,
            **POOL_TABLES,
            **PREDICTION_TABLES,
            "adaptive": ADAPTIVE,
            "bucket_accuracy": BUCKET_ACCURACY,
        }.items()
    },
}
"""Tables that parquet files hold, each with its task, policy and origin."""

_CALLED = {"rated": "difficulty", "curve_points": "curves"}
"""Table -> how its files are called, where not by its name."""

STEP_FILES: dict[str, Columns] = {
    "prm_rates": RATES,
    "prm_cases": CASES,
    "pruning": PRUNING.of("task", "policy"),
}
"""Tables that have files only for tasks whose steps can be checked."""

_CELL = {
    **common("task", "policy", "prm", "method", "kind"),
    "spec": Column(TEXT, "All that determines the cell's units, as canonical JSON"),
    "budget": Column(COUNT, "Budget N of beam search; null of others, whose units serve every N"),
    "unit_budget": Column(COUNT, "What a unit makes up of N: a sample 1, a subtree of DVTS M"),
}

LEDGER = Columns(
    "What each run spent on the units of a cell that are its own, whichever study uses them",
    {
        **_CELL,
        **common("n_units"),
        "run": Column(TEXT, "Run that made the units"),
        **common(*ORIGIN, *SECONDS, *COUNTS),
    },
)
"""Over all stored units that count, whether this study uses them or not, so that studies agree on
what a cell cost."""

PROBLEM_COSTS = Columns(
    "What the units of a cell cost on each problem, whichever run made them",
    {
        **common("task", "policy", "prm", "method"),
        "budget": _CELL["budget"],
        "unit_budget": _CELL["unit_budget"],
        **common("problem_hash"),
        **common("n_units", *SECONDS, *COUNTS),
    },
)
"""The sums of ``LEDGER`` by problem in place of by run: what difficulty costs."""

_ENTRIES: dict[str, Columns] = {
    "policies": Columns(
        "Policies of the study and of what it adopts",
        {
            **common("policy", "title"),
            "family": Column(TEXT, "Family of models"),
            **common("n_parameters"),
            "is_reasoning": Column(TRUTH, "Whether it was trained to reason at length"),
            "origin": Column(TEXT, "run: its solutions were made here; adopted: by others"),
            "model": Column(TEXT, "Model that it is, as the registry names it"),
            "weights": Column(TEXT, "Number format of its weights; null where unknown"),
            "collection": Column(TEXT, "Collection that it is adopted from; null of own runs"),
        },
    ),
    "prms": Columns(
        "Process reward models of the study and of what it adopts",
        {
            "prm": Column(TEXT, "Process reward model, as the registry names it"),
            **common("title"),
            "format": Column(TEXT, "How it reads a solution and gives its scores"),
            **common("n_parameters"),
            "family": Column(
                TEXT, "Family whose solutions alone it was taught on; null: several or unknown"
            ),
        },
    ),
    "tasks": Columns(
        "Tasks of the study and of what it adopts",
        {
            **common("task", "title"),
            "n_problems": Column(COUNT, "Number of problems of the whole task"),
            "has_step_check": Column(
                TRUTH,
                "Whether each step of a solution can be checked exactly, as of generated ones",
            ),
        },
    ),
    "study_budgets": Columns(
        "Budgets of the study; single policies may have others", common("budget")
    ),
    "prompts": Columns(
        "Prompts of the study",
        {
            "prompt": Column(TEXT, "Prompt, as the registry names it"),
            "policies": Column(TEXT, "Policies that are given it, as they are printed"),
            "system": Column(TEXT, "Text of the system's turn; null where there is none"),
            "user_suffix": Column(TEXT, "What follows the problem in the user's turn"),
            "template_arguments": Column(TEXT, "Arguments of the chat template"),
            **common("source"),
        },
    ),
    "settings": Columns(
        "Settings of the study, in one row",
        {
            "confidence": Column(REAL, "Confidence of all intervals, 0 to 1"),
            "replicates": Column(COUNT, "Number of bootstrap replicates"),
            "vote_subsets": Column(COUNT, "Number of subsets of a pool that votes are taken over"),
            "seed": Column(COUNT, "Seed of the study"),
            "beam_width": Column(COUNT, "Beam width M of searches"),
            "easy": Column(REAL, "Pass@1 from which a problem is easy, 0 to 1"),
            "medium": Column(REAL, "Pass@1 from which a problem is medium, 0 to 1"),
            "scoring": Column(TEXT, "Scoring of the figures: prm_min, prm_last or prm_avg"),
            "voting": Column(TEXT, "Voting of the figures: majority, prm_max or prm_vote"),
        },
    ),
}

ADOPTED: dict[str, Columns] = {
    "collections": Columns(
        "Collections of rollouts that are adopted",
        {
            **common("collection", "title", "task"),
            "policy": Column(TEXT, "Policy, as it is called in this study; null of solutions"),
            **common("prm"),
            "variant": Column(TEXT, "Which of several of the same kind it is; null where one"),
            **common("source", "commit"),
            "licence": Column(TEXT, "Licence of the source"),
            "caveats": Column(TEXT, "What to know before its numbers are used, one a line"),
            "files_left_out": Column(TEXT, "Files that are not taken and why, one a line"),
            "listing": Column(TEXT, "Where its files are listed; null where each has a row"),
            "folder": Column(TEXT, "Folder of the source that paths of the listing start from"),
        },
    ),
    "adopted_files": ADOPTED_FILES.of("collection"),
    "adopted_records": Columns(
        "Where each adopted answer comes from: the record of its file",
        {
            **common("collection", "policy"),
            "pool": Column(TEXT, "Pool of the sample: evaluation or greedy; null of a search"),
            **common("prm", "method", "budget", "problem_id"),
            "repetition": Column(COUNT, "Number of the run of a search; null of a sample"),
            "subtree": Column(COUNT, "Number of the subtree of a search; null of a sample"),
            "sample_index": Column(COUNT, "Number of the sample, or of the answer of a search"),
            **common("source", "commit"),
            "path": Column(
                TEXT, "Path of the file in the source, and the row in it if it has many"
            ),
            "record_sha256": Column(TEXT, "sha256 of the record"),
        },
    ),
    "adopted_findings": Columns(
        "What was found wrong in adopted files, by file and reason",
        {
            **common("collection"),
            "path": Column(TEXT, "Path of the file in its source"),
            "reason": Column(TEXT, "What is wrong"),
            "adopted": Column(TRUTH, "Whether the records are adopted all the same"),
            "n": Column(COUNT, "Number of records or answers"),
            "detail": Column(TEXT, "An example"),
        },
    ),
    "scored_solutions": SOLUTIONS.of("collection"),
}
"""Tables about adopted collections: what each is, what its files held, what was found wrong in
them, and solutions of known truth with reward models' scores."""

TABLES: dict[str, Columns] = {
    **FILES,
    **STEP_FILES,
    "cells": COVERAGE,
    "ledger": LEDGER,
    "problem_costs": PROBLEM_COSTS,
    **_ENTRIES,
    **ADOPTED,
    **REWARD_MODEL_TABLES,
    **GAIN_TABLES,
    "choice_dependence": CHOICE_DEPENDENCE,
    "published": PAPER,
    "pretraining": PRETRAINING,
    "processbench": PROCESSBENCH,
    "optscale": OPTSCALE,
}
"""All that is written into the database, table by table; what follows from it is ``DERIVED``."""

DERIVED = {
    "database/engine_rates.sql": "ledger",
    "database/pools.sql": "answers",
    "database/search_paths.sql": "answers",
    "database/pass_at_1.sql": "rated",
    "database/difficulty.sql": "rated",
    "database/bucket_costs.sql": "ledger",
    "database/unit_costs.sql": "bucket_costs",
    "database/curves.sql": "curve_points",
    "database/main_curves.sql": "curves",
    "database/cell_costs.sql": "ledger",
    "database/prm_ability.sql": "prm_rates",
}
"""What is made from ``TABLES``, in the order of its making, each from this table or view above all:
a column that its statement does not describe means what its namesake there does."""


def build_database(
    study: Study,
    storage: Storage,
    tables: Sequence[Path],
    published: Path,
    processbench: Path,
    optscale: Path,
    pretraining: Path,
    output: Path,
) -> None:
    """The rule of this name: ``build`` with the files of published numbers.

    Raises ``StudyError`` where one of these cannot be read or is not understood.
    """
    printed = {
        "published": load_paper(published),
        "pretraining": load_pretraining(pretraining),
        "processbench": load_processbench(processbench),
        "optscale": load_optscale(optscale),
    }
    build(study, storage, tables, printed, output)


def build(
    study: Study,
    storage: Storage,
    files: Sequence[Path],
    printed: Mapping[str, pl.DataFrame],
    output: Path,
) -> None:
    """Write the database of ``study`` from its parquet files, atomically.

    ``printed``: tables of numbers that others published.
    """
    paths = {name: _files_of(name, files) for name in (*FILES, *STEP_FILES)}
    adopted, stock = _adopted(study, storage), Stock(storage)
    frames: dict[str, pl.DataFrame] = {
        **_spent(study, stock),
        # After these, which have read all of it.
        "cells": coverage(study, storage, stock=stock),
        **_entries(study),
        **adopted,
        **examine_solutions(
            adopted["scored_solutions"],
            study.statistics.bootstrap_replicates,
            study.statistics.confidence,
            study.seed,
        ),
        **_gains(study, paths, printed["processbench"]),
        "choice_dependence": _dependence(study, paths),
        **printed,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        for name, frame in frames.items():
            # By way of a file: DuckDB reads frames through pyarrow, which is not installed.
            file = Path(folder) / f"{name}.parquet"
            write_parquet(frame, file)
            paths[name] = [str(file)]
        scratch = Path(folder) / output.name
        with duckdb.connect(str(scratch), config={**FORMAT, **IN_ORDER}) as database:
            fill(database, paths, Path(folder))
        scratch.replace(output)


def fill(
    database: duckdb.DuckDBPyConnection, paths: Mapping[str, Sequence[str]], scratch: Path
) -> None:
    """Make all of ``TABLES`` and ``DERIVED`` in an empty database, with their descriptions.

    ``paths``: the parquet files of each table; one that has none is empty. ``scratch``: a folder
    for what is passed on in files.
    """
    # At once: a commit for each description would take seconds.
    database.begin()
    for name, columns in TABLES.items():
        files = [*paths.get(name, ())]
        if not files:
            empty = scratch / f"empty_{name}.parquet"
            write_parquet(pl.DataFrame(schema=columns), empty)
            files = [str(empty)]
        database.read_parquet([*map(glob.escape, files)], union_by_name=True).create(name)
    for derived in DERIVED:
        database.execute(statement(derived))
    _describe(database)
    database.commit()


def _describe(database: duckdb.DuckDBPyConnection) -> None:
    """Write the descriptions of tables and columns into the database."""
    describe(database, TABLES)
    for file, origin in DERIVED.items():
        namesakes = {"derived": Path(file).stem, "origin": origin}
        inherited = database.execute(statement("database/inherited.sql"), namesakes).fetchall()
        comment(database, {(table, name): text for table, name, text in inherited})


def _files_of(table: str, files: Sequence[Path]) -> list[str]:
    if table == "problems":
        return [str(file) for file in files if file.parent.name == table]
    begin = f"{_CALLED.get(table, table)}-"
    return [str(file) for file in files if file.name.startswith(begin)]


def _entries(study: Study) -> dict[str, pl.DataFrame]:
    adopted = [study.adopted_collection(name) for name in study.adopted]
    prms = dict.fromkeys([*study.prms, *(prm for entry in adopted for prm in entry.prms)])
    tasks = dict.fromkeys([*study.tasks, *(entry.task for entry in adopted)])
    policies = [*map(study.policy, study.policies)]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "policies": [
            *(
                (
                    *(p.name, p.title, p.family, p.n_parameters, p.is_reasoning),
                    *("run", p.name, p.dtype, None),
                )
                for p in policies
            ),
            *_adopted_policies(study),
        ],
        "prms": [
            (p.name, p.title, p.format, p.n_parameters, p.family)
            for p in map(study.prm_facts, prms)
        ],
        "tasks": [
            (task.name, task.title, task.n_problems, step_checker(task.kind) is not None)
            for task in map(study.task, tasks)
        ],
        "study_budgets": [(budget,) for budget in study.budgets],
        "prompts": [
            (
                prompt.name,
                ", ".join(p.title for p in policies if p.prompt == prompt.name),
                prompt.system,
                prompt.user_suffix,
                ", ".join(f"{name} = {value}" for name, value in prompt.template_arguments.items()),
                prompt.source,
            )
            for prompt in study.prompts
        ],
        "settings": [
            (
                study.statistics.confidence,
                study.statistics.bootstrap_replicates,
                study.statistics.vote_subsets,
                study.seed,
                study.beam_width,
                study.difficulty.easy,
                study.difficulty.medium,
                study.aggregation.scoring,
                study.aggregation.voting,
            )
        ],
    }
    return {
        name: pl.DataFrame(rows[name], schema=_ENTRIES[name], orient="row") for name in _ENTRIES
    }


def _adopted_policies(study: Study) -> Iterator[tuple[Any, ...]]:
    """Rows of ``policies``: each adopted policy once, with its model and its collection."""
    seen = set(study.policies)
    for collection in cells.collections(study):
        name, entry = collection.policy, collection.entry
        if name is None or name in seen:
            continue
        seen.add(name)
        model = study.policy_facts(str(entry.policy))
        title = model.title if name == model.name else f"{model.title} ({entry.title})"
        weights = model.dtype if isinstance(model, PolicyEntry) else model.weights
        yield (
            name, title, model.family, model.n_parameters, model.is_reasoning, "adopted",
            model.name, weights, entry.name,
        )  # fmt: skip


def _adopted(study: Study, storage: Storage) -> dict[str, pl.DataFrame]:
    frames = {name: [pl.DataFrame(schema=schema)] for name, schema in ADOPTED.items()}
    stored = {
        "adopted_files": "adopted_files",
        "adopted_findings": "adopted_findings",
        "scored_solutions": "adopted_solutions",
    }
    for collection in cells.collections(study):
        entry = collection.entry
        described = {
            **{key: getattr(entry, key, None) for key in ADOPTED["collections"]},
            "collection": entry.name,
            "policy": collection.policy,
            # Of a collection on the hub, each of its repositories and revisions.
            "source": entry.source or " ".join(hub.hub_id for hub in entry.hub),
            "commit": entry.commit or " ".join(hub.revision for hub in entry.hub),
            "caveats": "\n".join(entry.caveats),
            "files_left_out": "\n".join(f"{x}: {why}" for x, why in entry.left_out.items()),
        }
        frames["collections"].append(pl.DataFrame([described], schema=ADOPTED["collections"]))
        cell = places.partition(storage.store, collection.spec)
        for name, table in stored.items():
            if (rows := cell.read(table)).height:
                of_collection = rows.with_columns(collection=pl.lit(entry.name))
                frames[name].append(of_collection.select(list(ADOPTED[name])))
        frames["adopted_records"] += _records(collection, cell)
    return {name: pl.concat(parts) for name, parts in frames.items()}


def _records(collection: cells.Collection, cell: Partition) -> Iterator[pl.DataFrame]:
    """Rows of ``adopted_records``: paths are those of the repository, also of a listing."""
    folder = collection.entry.folder
    path = pl.col("member").str.strip_prefix("./")
    for table in ("adopted_samples", "adopted_paths"):
        if (rows := cell.read(table)).height:
            rows = rows.rename({"path": "sample_index"}) if table == "adopted_paths" else rows
            rows = rows.with_columns(
                collection=pl.lit(collection.entry.name),
                policy=pl.lit(collection.policy),
                path=pl.concat_str(pl.lit(f"{folder}/" if folder else ""), path),
            )
            schema = ADOPTED["adopted_records"]
            absent = {name: pl.lit(None, kind) for name, kind in schema.items()}
            if table == "adopted_samples":
                greedy = pl.col("method") == "cot"
                pool = pl.when(greedy).then(pl.lit("greedy")).otherwise(pl.lit("evaluation"))
                rows = rows.with_columns(pool=pool)
            yield rows.with_columns(
                **{name: null for name, null in absent.items() if name not in rows.columns}
            ).select(pl.col(name).cast(kind) for name, kind in schema.items())


def _gains(
    study: Study, paths: Mapping[str, Sequence[str]], processbench: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """What each PRM gains with the study's own policies, over its ability (``prm_gains``)."""
    aggregation, own = _aggregation(study), _own(study)
    is_aggregation = [pl.col(name) == value for name, value in aggregation.items()]
    is_majority = pl.col("method") == "majority"
    rates = _read(paths, "prm_rates", RATES).filter(pl.col("policy").is_null(), measure="f1")
    measured = rates.select("task", "prm", (100 * pl.col("value")).alias("f1")).collect()
    published = processbench.filter(subset="MATH").select(
        pl.col("registry_prm").alias("prm"), pl.col("f1").alias("published")
    )
    tasks = pl.DataFrame({"task": study.tasks}, schema={"task": TEXT})
    # As Figure 6: what was measured on the task itself before what others published.
    abilities = (
        tasks.join(pl.DataFrame({"prm": study.prms}, schema={"prm": TEXT}), how="cross")
        .join(measured, on=["task", "prm"], how="left")
        .join(published, on="prm", how="left")
        .with_columns(pl.coalesce("f1", "published").alias("f1"))
    )
    selected = _read(paths, "selection", FILES["selection"]).filter(
        *own, *is_aggregation, pl.col("prm").is_not_null(), rule="cross_fitted"
    )
    discriminations = _read(paths, "score_quality", FILES["score_quality"]).filter(
        *own, is_aggregation[0], measure="discrimination"
    )
    return examine_gains(
        _read(paths, "outcomes", FILES["outcomes"])
        .filter(*own, is_majority & pl.col("prm").is_null() | is_aggregation[0] & is_aggregation[1])
        .collect(),
        _read(paths, "held_out_outcomes", FILES["held_out_outcomes"])
        .filter(*own, *is_aggregation)
        .collect(),
        selected.select("task", "policy", "prm", "budget", "widening").collect(),
        abilities,
        discriminations.with_columns((100 * pl.col("value")).alias("discrimination")).collect(),
        _problems(paths),
        GainSettings(
            study.statistics.bootstrap_replicates,
            study.statistics.confidence,
            study.seed,
            **aggregation,
        ),
    )


def _dependence(study: Study, paths: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """On what the best method depends, by the study's own policies (``choice_dependence``)."""
    aggregation = _aggregation(study)
    of_study = _read(paths, "outcomes", FILES["outcomes"]).filter(*_own(study), **aggregation)
    return examine_dependence(of_study.collect(), _problems(paths), **aggregation, seed=study.seed)


def _read(paths: Mapping[str, Sequence[str]], table: str, columns: Columns) -> pl.LazyFrame:
    files = [*paths[table]]
    return pl.scan_parquet(files, glob=False) if files else pl.LazyFrame(schema=columns)


def _problems(paths: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    return _read(paths, "problems", FILES["problems"]).select("task", "problem_id").collect()


def _aggregation(study: Study) -> dict[str, str]:
    """The study's one way from step scores to an answer."""
    return {"scoring": study.aggregation.scoring, "voting": study.aggregation.voting}


def _own(study: Study) -> tuple[pl.Expr, pl.Expr]:
    """What the study itself runs, and not what it adopts."""
    return pl.col("task").is_in(study.tasks), pl.col("policy").is_in(study.policies)


def _spent(study: Study, stock: Stock) -> dict[str, pl.DataFrame]:
    """Rows of ``LEDGER``, one a cell and run, and of ``PROBLEM_COSTS``, one a cell and problem, in
    the order of the study."""
    keys = {"ledger": ["run", *ORIGIN], "problem_costs": ["problem_hash"]}
    columns = {"ledger": LEDGER, "problem_costs": PROBLEM_COSTS}
    frames = {name: [pl.DataFrame(schema=of_table)] for name, of_table in columns.items()}
    for some in _batches(stock.costs(cells.Grid(study))):
        named = pl.DataFrame(
            [_named(cell) for cell, _ in some], schema={name: LEDGER[name] for name in _CELL}
        ).with_row_index("place")
        costs = pl.concat(
            [
                rows.select(*_SPENT, pl.lit(place, pl.UInt32).alias("place"))
                for place, (_, rows) in enumerate(some)
            ],
            how="vertical_relaxed",
        )
        for name, key in keys.items():
            summed = costs.group_by("place", *key, maintain_order=True).agg(
                pl.len().alias("n_units"), pl.col(*COUNTS).sum(), pl.col(*SECONDS)
            )
            # A sum over groups adds in an order that depends on how many threads there are.
            summed = summed.with_columns(pl.col(*SECONDS).list.sum())
            frames[name].append(
                summed.join(named, on="place", maintain_order="left").select(
                    pl.col(column).cast(kind) for column, kind in columns[name].items()
                )
            )
    return {name: pl.concat(of_table) for name, of_table in frames.items()}


_SPENT = ("problem_hash", "run", *ORIGIN, *COUNTS, *SECONDS)
"""What of the costs of units is added up, and by what."""


def _named(cell: cells.Cell) -> dict[str, object]:
    """A cell by the columns ``_CELL``."""
    return {
        "task": cell.task,
        "policy": cell.policy,
        "prm": cell.prm,
        "method": cell.method,
        "kind": cell.kind,
        "spec": canonical(cell.spec),
        "budget": places.budget_of(cell.spec),
        "unit_budget": places.unit_budget(cell.spec),
    }


_ROWS_TOGETHER = 200_000
"""Units that are added up together at least: to begin an aggregation takes longer than to add up a
cell of searches, and a pool is as large as hundreds of these."""

_Costs = tuple[cells.Cell, pl.DataFrame]


def _batches(costs: Iterable[_Costs]) -> Iterator[list[_Costs]]:
    """Cells of which anything is stored, as many at once as have ``_ROWS_TOGETHER`` units."""
    batch: list[_Costs] = []
    n_units = 0
    for cell, rows in costs:
        if rows.is_empty():
            continue
        batch.append((cell, rows))
        n_units += rows.height
        if n_units >= _ROWS_TOGETHER:
            yield batch
            batch, n_units = [], 0
    if batch:
        yield batch
