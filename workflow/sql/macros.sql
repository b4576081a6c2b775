-- Definitions that several queries share. A query has those that it names as temporary macros, so the
-- database itself stays untouched (it is opened read-only). Each stands on those before it.

-- One spelling for the names of models and tasks: "Llama-3.2-1B-Inst." is "Llama-3.2-1B-Instruct",
-- "DeepSeek-R1-Distill-7B" is "DeepSeek-R1-Distill-Qwen-7B", "MATH-500" is "math500".
CREATE OR REPLACE TEMP MACRO name_key(name) AS replace(
    regexp_replace(replace(lower(name), 'inst.', 'instruct'), '[^a-z0-9]', '', 'g'),
    'distillqwen', 'distill'
);

-- A number as people read it, in one decimal: of two that are equally near the one further from 0, as
-- present/style.py says.
CREATE OR REPLACE TEMP MACRO one_decimal(value) AS format('{:.1f}', round(round(value, 9), 1));

-- Whether all policies that the study runs itself, if it runs any, have fewer than ten million
-- parameters: its results are no evidence about large models.
CREATE OR REPLACE TEMP MACRO is_miniature() AS (
    SELECT coalesce(max(n_parameters) < 1e7, FALSE) FROM policies WHERE origin = 'run'
);

-- Tasks of the paper's figures and tables: those that the study runs, or all if it runs none.
CREATE OR REPLACE TEMP MACRO shown_tasks() AS TABLE
SELECT task
FROM tasks
WHERE
    task IN (SELECT task FROM cells)
    OR NOT EXISTS (SELECT 1 FROM cells INNER JOIN tasks AS own ON own.task = cells.task);

-- Tasks in order of importance: the paper's most discussed task first, then the largest. Those of which
-- only adopted rollouts are known have figures and tables of their own, and are none where the study runs
-- any itself.
CREATE OR REPLACE TEMP MACRO ranked_tasks() AS TABLE
SELECT
    tasks.task,
    tasks.title,
    coalesce(counted.n_problems, tasks.n_problems) AS n_problems,
    row_number() OVER (
        ORDER BY coalesce(printed.n_values, 0) DESC, tasks.n_problems DESC, tasks.task
    ) AS task_rank
FROM tasks
LEFT JOIN (
    SELECT name_key(task) AS task_key, count(*) AS n_values FROM published GROUP BY ALL
) AS printed ON printed.task_key = name_key(tasks.title)
-- A study may take only the first problems of a task.
LEFT JOIN (
    SELECT task, count(*) AS n_problems FROM problems GROUP BY ALL
) AS counted ON counted.task = tasks.task
WHERE tasks.task IN (SELECT task FROM shown_tasks());

CREATE OR REPLACE TEMP MACRO first_task() AS (SELECT task FROM ranked_tasks() WHERE task_rank = 1);

-- Accuracy curves of one task under one aggregation of step scores and votes, at powers of two and the
-- study's budgets: curves of a pool have the whole of it as well, which may lie between.
CREATE OR REPLACE TEMP MACRO thinned_curves(task_, scoring_, voting_) AS TABLE
SELECT curves.*, study_budgets.budget IS NOT NULL AS at_study_budget
FROM curves
LEFT JOIN (
    SELECT DISTINCT budget FROM outcomes WHERE task = task_
) AS study_budgets ON study_budgets.budget = curves.budget
WHERE
    curves.task = task_
    AND (
        curves.method IN ('cot', 'majority', 'pass_at_k')
        OR (curves.scoring = scoring_ AND curves.voting = voting_)
    )
    AND (study_budgets.budget IS NOT NULL OR curves.budget & (curves.budget - 1) = 0);

-- The ability of each PRM on each task to find the first wrong step, over all policies: F1 in %, as
-- measured on the very task or, where it was not, as published.
CREATE OR REPLACE TEMP MACRO abilities() AS TABLE
SELECT
    tasks.task, prm_ability.prm, prm_ability.ability, prm_ability.ci_low, prm_ability.ci_high,
    prm_ability.source
FROM tasks
INNER JOIN prm_ability ON prm_ability.task = tasks.task OR prm_ability.task IS NULL
WHERE prm_ability.policy IS NULL AND prm_ability.ability IS NOT NULL
QUALIFY
    row_number() OVER (
        PARTITION BY tasks.task, prm_ability.prm
        ORDER BY prm_ability.task IS NULL, prm_ability.source
    ) = 1;

-- The PRM of figures that show a single one: run with the most policies and methods, of these the
-- ablest, then the largest. NULL in a study without PRMs.
CREATE OR REPLACE TEMP MACRO main_prm(task_) AS (
    SELECT first(prm ORDER BY n_runs DESC, ability DESC NULLS LAST, n_parameters DESC, prm)
    FROM (
        SELECT
            prms.prm,
            prms.n_parameters,
            abilities.ability,
            count(DISTINCT (curves.policy, curves.method)) AS n_runs
        FROM prms
        LEFT JOIN abilities() AS abilities
            ON abilities.prm = prms.prm AND abilities.task = task_
        LEFT JOIN curves ON curves.prm = prms.prm AND curves.task = task_
        GROUP BY ALL
    )
);

-- What a study means to run, or holds: (task, policy, prm); prm is NULL for what needs none.
CREATE OR REPLACE TEMP MACRO held() AS TABLE
FROM (SELECT task, policy, prm FROM cells) UNION (SELECT task, policy, prm FROM curves);

-- The same, of the tasks of the paper's figures and tables.
CREATE OR REPLACE TEMP MACRO planned() AS TABLE
SELECT task, policy, prm FROM held() WHERE task IN (SELECT task FROM shown_tasks());

-- Every task and policy that are planned together, as tables over all tasks name and order them.
CREATE OR REPLACE TEMP MACRO ranked_pairs() AS TABLE
SELECT
    tasks.task,
    tasks.title AS task_title,
    tasks.task_rank,
    policies.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    policies.origin,
    sizes.n_problems AS n_problems_of_task
FROM ranked_tasks() AS tasks
INNER JOIN (SELECT task, n_problems FROM tasks) AS sizes USING (task)
INNER JOIN (SELECT DISTINCT task, policy FROM planned()) AS planned USING (task)
INNER JOIN policies USING (policy);

-- The two policies of figures and tables that show no more: of each of the two families with the most
-- policies the one nearest to 8B, which are Llama-3.1-8B and Qwen2.5-7B in the paper's grid. Of adopted ones
-- those that have anything over N, of equals the one with the most of it.
CREATE OR REPLACE TEMP MACRO main_policies(task_) AS TABLE
SELECT policy
FROM (
    SELECT
        policy,
        family,
        n_parameters,
        count(*) OVER (PARTITION BY family) AS n_of_family,
        row_number() OVER (
            PARTITION BY family
            ORDER BY abs(ln(n_parameters / 8e9)) NULLS LAST, if(origin = 'run', 0, -n_points), policy
        ) AS nearness
    FROM policies
    INNER JOIN (
        SELECT planned.policy, count(*) FILTER (curves.budget > 1) AS n_points
        FROM (SELECT DISTINCT policy FROM planned() WHERE task = task_) AS planned
        LEFT JOIN curves ON curves.policy = planned.policy AND curves.task = task_
        GROUP BY ALL
    ) AS counted USING (policy)
    WHERE origin = 'run' OR n_points > 0
)
WHERE nearness = 1
ORDER BY n_of_family DESC, n_parameters DESC, family
LIMIT 2;

-- What is planned and not in the store, with the tokens that it would take: to generate or, for
-- best_of_n, to score.
CREATE OR REPLACE TEMP MACRO prices() AS TABLE
SELECT task, policy, prm, method, sum(tokens_needed)::BIGINT AS tokens_needed
FROM cells
WHERE status <> 'stored'
GROUP BY ALL;

-- The PRM that compute-optimal TTS uses of every (task, policy), as its name is shown: those that do
-- equally well are all named. Made once, in the analysis (table choices).
CREATE OR REPLACE TEMP MACRO chosen_prms(scoring_, voting_) AS TABLE
SELECT
    task,
    policy,
    budget,
    string_agg(title, ' or ' ORDER BY n_parameters, prm) AS prm_title,
    count(*) AS n_tied_prms
FROM (
    SELECT DISTINCT task, policy, budget, prm
    FROM choices
    WHERE rule = 'in_sample' AND scoring = scoring_ AND voting = voting_
)
INNER JOIN prms USING (prm)
GROUP BY ALL;

-- All problems of each task, in the order of their names: what is resampled of whatever is compared on some
-- of them, so that a difference has one interval wherever it stands.
CREATE OR REPLACE TEMP MACRO problems_of_tasks() AS TABLE
SELECT task, list(problem_id ORDER BY problem_id) AS problems_of_task FROM problems GROUP BY task;

-- Whether a budget is one of a single policy beyond all that the study's policies have, as N = 512 of the
-- paper is. What compares policies leaves it out. Adopted rollouts have the budgets that they have.
CREATE OR REPLACE TEMP MACRO is_beyond(policy_, budget_) AS (
    coalesce(budget_ > (SELECT max(budget) FROM study_budgets), false)
    AND policy_ IN (SELECT policy FROM policies WHERE origin = 'run')
);

-- Compute-optimal selection of every (task, policy) at its largest budget and, where it has some beyond the
-- study's (is_beyond), at the largest of those too, the PRM chosen too: one row per rule. prm_title: of the rule in_sample; cross-fitted, other problems choose, each fold its own.
CREATE OR REPLACE TEMP MACRO best_selection(scoring_, voting_) AS TABLE
SELECT
    selection.* EXCLUDE (prm),
    is_beyond(policy, budget) AS is_beyond,
    if(
        selection.rule = 'in_sample' OR n_prms = 1, chosen.prm_title, 'chosen on other problems'
    ) AS prm_title
FROM selection
INNER JOIN chosen_prms(scoring_, voting_) AS chosen USING (task, policy, budget)
INNER JOIN (
    SELECT task, policy, count(DISTINCT prm) AS n_prms FROM selection GROUP BY ALL
) AS prms_of USING (task, policy)
WHERE scoring = scoring_ AND voting = voting_ AND selection.prm IS NULL
QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, is_beyond(policy, budget));

-- The place of a policy among all of the study, or among all adopted ones, by size: what its colour and
-- mark are chosen by.
CREATE OR REPLACE TEMP MACRO policy_places() AS TABLE
SELECT
    policy,
    row_number() OVER (PARTITION BY origin ORDER BY n_parameters NULLS LAST, policy) - 1
        AS policy_place,
    count(*) OVER (PARTITION BY origin) AS n_places
FROM policies;

-- Every policy and PRM that are planned together on a task, in the order of tables. origin: 'run' by this
-- study or 'adopted', then of a collection. model_title: the policy's without the collection's.
CREATE OR REPLACE TEMP MACRO pairs(task_) AS TABLE
SELECT
    policies.policy,
    policies.title AS policy_title,
    replace(policies.title, concat(' (', collections.title, ')'), '') AS model_title,
    policies.family,
    policies.n_parameters,
    policies.origin,
    policies.collection,
    places.policy_place,
    places.n_places,
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    abilities.ability AS prm_ability
FROM (SELECT DISTINCT policy, prm FROM held() WHERE task = task_) AS held
INNER JOIN policies USING (policy)
INNER JOIN policy_places() AS places USING (policy)
INNER JOIN prms USING (prm)
LEFT JOIN abilities() AS abilities ON abilities.prm = prms.prm AND abilities.task = task_
LEFT JOIN collections ON collections.collection = policies.collection;

-- Every point of every policy, PRM, bucket and method that the study means to run. A method
-- without results has one row whose budget is NULL: that is what "not run" is drawn from. Of what others ran,
-- policies, PRMs and buckets with anything over N: nobody means to run the rest.
-- n_expected: problems of the task or, in a bucket, of this difficulty for this policy.
CREATE OR REPLACE TEMP MACRO accuracy_points(task_, scoring_, voting_) AS TABLE
WITH
methods AS (
    SELECT method
    FROM (FROM (SELECT task, method FROM cells) UNION (SELECT task, method FROM curves))
    WHERE
        task = task_
        AND method IN ('cot', 'majority', 'best_of_n', 'beam_search', 'dvts', 'pass_at_k')
),
sizes AS (
    SELECT policies.policy, 'all' AS bucket, tasks.n_problems
    FROM ranked_tasks() AS tasks CROSS JOIN policies
    WHERE tasks.task = task_
    UNION ALL
    SELECT difficulty.policy, names.bucket, count(*) FILTER (difficulty.bucket = names.bucket)
    FROM difficulty CROSS JOIN (VALUES ('easy'), ('medium'), ('hard')) AS names (bucket)
    WHERE difficulty.task = task_
    GROUP BY ALL
),
panels AS (
    SELECT
        policies.policy,
        policies.title AS policy_title,
        policies.family,
        policies.n_parameters,
        prms.prm,
        prms.title AS prm_title,
        prms.n_parameters AS prm_n_parameters,
        abilities.ability AS prm_ability,
        policies.origin,
        buckets.bucket,
        sizes.n_problems AS n_expected
    FROM policies
    INNER JOIN (SELECT DISTINCT policy FROM planned() WHERE task = task_) AS shown
        ON shown.policy = policies.policy
    LEFT JOIN (
        SELECT prms.*, planned.policy
        FROM prms INNER JOIN planned() AS planned ON planned.prm = prms.prm
        WHERE planned.task = task_
    ) AS prms ON prms.policy = policies.policy
    LEFT JOIN abilities() AS abilities
        ON abilities.prm = prms.prm AND abilities.task = task_
    CROSS JOIN (VALUES ('all'), ('easy'), ('medium'), ('hard')) AS buckets (bucket)
    LEFT JOIN sizes ON sizes.policy = policies.policy AND sizes.bucket = buckets.bucket
),
points AS (FROM thinned_curves(task_, scoring_, voting_))
SELECT
    panels.* EXCLUDE (origin),
    methods.method,
    points.budget,
    points.at_study_budget,
    points.accuracy,
    points.ci_low,
    points.ci_high,
    points.n_problems,
    points.tokens,
    points.prm_tokens,
    points.seconds,
    prices.tokens_needed
FROM panels
CROSS JOIN methods
LEFT JOIN prices() AS prices
    ON
        prices.task = task_
        AND prices.policy = panels.policy
        AND prices.method = methods.method
        AND (prices.prm = panels.prm OR prices.prm IS NULL)
LEFT JOIN points
    ON
        points.policy = panels.policy
        AND points.bucket = panels.bucket
        AND points.method = methods.method
        AND (points.prm = panels.prm OR points.prm IS NULL)
QUALIFY
    panels.origin = 'run'
    OR count(*) FILTER (points.budget > 1) OVER (PARTITION BY panels.policy, panels.prm, panels.bucket) > 0;

-- What tables of the paper (items) print about the study's policies and tasks: one value per measure.
-- Table 5 comes before Table 3, which prints other values for two of the models.
CREATE OR REPLACE TEMP MACRO printed_for_policies(items) AS TABLE
SELECT
    tasks.task,
    policies.policy,
    CASE
        WHEN published.metric = 'performance_gain_over_CoT' THEN 'performance_gain'
        WHEN published.metric = 'efficiency_gain_over_majority' THEN 'efficiency_gain'
        WHEN published.method = 'CoT' THEN 'cot'
        WHEN published.method = 'Majority voting' THEN 'majority'
        WHEN published.method = 'compute-optimal TTS' THEN 'compute_optimal'
    END AS measure,
    arg_max(published.value::VARCHAR, published.item) AS printed
FROM published
INNER JOIN policies
    ON name_key(published.model) IN (name_key(policies.title), name_key(policies.policy))
INNER JOIN tasks ON name_key(published.task) IN (name_key(tasks.title), name_key(tasks.task))
WHERE published.item IN items
GROUP BY ALL
HAVING measure IS NOT NULL;

-- Whether a PRM read what a model of the paper's wrote: not what answered once, and not R1-Distill, which
-- was run by majority voting (the authors, issue 1 of the official repository).
CREATE OR REPLACE TEMP MACRO read_by_prm(model, method) AS
    method <> 'CoT' AND NOT contains(name_key(model), 'r1distill');

-- The accuracies that a table of the paper prints, in its order: one row per model, method and task
-- (task_title: also 'Avg', the mean of two), with the study's task and policy of the same names.
-- printed_parameters: the size that the paper gives, for most in the name; NULL where it gives none.
-- printed_prm and printed_budget likewise, from the table or the name.
CREATE OR REPLACE TEMP MACRO printed_accuracies(item_) AS TABLE
SELECT
    tasks.task,
    published.task AS task_title,
    tasks.task_rank,
    policies.policy,
    'printed' AS series,
    published.model,
    published."group" AS section,
    published.method,
    1e9 * try_cast(regexp_extract(published.params::VARCHAR, '^([0-9.]+)B$', 1) AS DOUBLE)
        AS printed_parameters,
    published.prm AS printed_prm,
    read_by_prm(published.model, published.method) AS is_read_by_prm,
    try_cast(published.budget::VARCHAR AS BIGINT) AS printed_budget,
    published.value::VARCHAR AS printed,
    published.rowid AS printed_rank
FROM published
LEFT JOIN ranked_tasks() AS tasks
    ON name_key(published.task) IN (name_key(tasks.title), name_key(tasks.task))
LEFT JOIN policies
    ON
        name_key(regexp_replace(published.model, ' w/.*| [(]N=.*', ''))
        IN (name_key(policies.title), name_key(policies.policy))
WHERE published.item = item_ AND published.metric = 'accuracy';

-- CoT, majority voting and compute-optimal TTS of every task and policy: one row per series and
-- budget with the accuracies per problem, so that gains are compared on the same problems. A policy
-- without results has one row whose series is NULL.
-- compute_optimal is chosen as in the paper (Equation 3), on the very problems that it is scored on:
-- the PRM that does best at the largest budget (prm_title; all that do, where n_tied_prms > 1) and for
-- each difficulty the method that does best (chosen: {bucket: methods}, several where they tie).
-- ci_low, ci_high: the analysis' own interval. printed: {measure: what the paper prints}.
-- replicates, confidence, seed: the study's settings of intervals. is_beyond: see there.
CREATE OR REPLACE TEMP MACRO series_at_every_budget(scoring_, voting_) AS TABLE
WITH
outcome_series AS (
    SELECT task, policy, 'compute_optimal' AS series, budget, problem_id, accuracy
    FROM chosen_outcomes
    WHERE rule = 'in_sample' AND scoring = scoring_ AND voting = voting_
    UNION ALL
    SELECT task, policy, method, budget, problem_id, accuracy
    FROM outcomes
    WHERE method IN ('cot', 'majority')
),
intervals AS (
    SELECT task, policy, 'compute_optimal' AS series, budget, ci_low, ci_high
    FROM selection
    WHERE
        prm IS NULL AND rule = 'in_sample' AND scoring = scoring_ AND voting = voting_
    UNION ALL
    SELECT task, policy, method, budget, ci_low, ci_high
    FROM curves
    WHERE method IN ('cot', 'majority') AND bucket = 'all'
),
strategies AS (
    SELECT
        task,
        policy,
        'compute_optimal' AS series,
        budget,
        map_from_entries(list((bucket, methods))) AS chosen
    FROM (
        SELECT task, policy, budget, bucket, list(DISTINCT method ORDER BY method) AS methods
        FROM choices
        WHERE rule = 'in_sample' AND scoring = scoring_ AND voting = voting_
        GROUP BY ALL
    )
    GROUP BY ALL
),
series AS (
    SELECT
        task,
        policy,
        series,
        budget,
        list(problem_id ORDER BY problem_id) AS problem_ids,
        list(accuracy ORDER BY problem_id) AS accuracies
    FROM outcome_series
    GROUP BY task, policy, series, budget
),
printed AS (
    SELECT task, policy, map_from_entries(list((measure, printed))) AS printed
    FROM printed_for_policies(['Table 3', 'Table 5'])
    GROUP BY ALL
)
SELECT
    shown.*,
    series.series,
    chosen.prm_title,
    chosen.n_tied_prms,
    series.budget,
    series.problem_ids,
    series.accuracies,
    intervals.ci_low,
    intervals.ci_high,
    strategies.chosen,
    printed.printed,
    settings.replicates,
    settings.confidence,
    settings.seed,
    is_beyond(shown.policy, series.budget) AS is_beyond
FROM ranked_pairs() AS shown
CROSS JOIN settings
LEFT JOIN series USING (task, policy)
LEFT JOIN intervals USING (task, policy, series, budget)
LEFT JOIN strategies USING (task, policy, series, budget)
LEFT JOIN chosen_prms(scoring_, voting_) AS chosen
    ON
        chosen.task = series.task
        AND chosen.policy = series.policy
        AND chosen.budget = series.budget
        AND series.series = 'compute_optimal'
LEFT JOIN printed ON printed.task = shown.task AND printed.policy = shown.policy;

-- The same at the budgets that policies are compared at.
CREATE OR REPLACE TEMP MACRO gain_series(scoring_, voting_) AS TABLE
SELECT * EXCLUDE (is_beyond)
FROM series_at_every_budget(scoring_, voting_)
WHERE NOT is_beyond;

-- The numbers that the paper prints, each as a number. Names of models are shortened to keys, so
-- that one model has one key wherever it stands. budget is NULL where the paper does not say.
CREATE OR REPLACE TEMP MACRO printed_numbers() AS TABLE
SELECT
    item,
    model,
    name_key(model) AS model_key,
    try_cast(rtrim(params, 'B') AS DOUBLE) AS billions,
    if(method = 'TTS', 'compute-optimal TTS', method) AS method,
    prm,
    task,
    metric,
    value::VARCHAR AS printed,
    try_cast(regexp_extract(value::VARCHAR, '[0-9.]+(e[0-9]+)?') AS DOUBLE) AS number
FROM published;

-- Tasks and policies that a claim is tested on. scale_ 'paper': those that the paper names, whoever drew
-- their samples; 'study': what the study itself runs.
CREATE OR REPLACE TEMP MACRO tested_pairs(scale_) AS TABLE
SELECT task, policy
FROM ranked_pairs()
WHERE
    if(
        scale_ = 'paper',
        name_key(policy_title) IN (SELECT name_key(model) FROM published)
        AND name_key(task_title) IN (SELECT name_key(task) FROM published),
        (task, policy) IN (SELECT (task, policy) FROM cells)
    );

-- Accuracies per problem of the same.
CREATE OR REPLACE TEMP MACRO tested_outcomes(scale_) AS TABLE
SELECT
    outcomes.*,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    tasks.title AS task_title,
    prms.title AS prm_title,
    prms.format AS prm_format,
    prms.family AS prm_family
FROM outcomes
SEMI JOIN tested_pairs(scale_) USING (task, policy)
INNER JOIN policies USING (policy)
INNER JOIN tasks USING (task)
LEFT JOIN prms USING (prm)
WHERE NOT is_beyond(outcomes.policy, outcomes.budget);

-- Series of gain_series for the same, but compute-optimal TTS is what the strategies give that other
-- problems chose, PRM and all. in_sample: its mean accuracy as the paper reports it, with the strategies
-- that do best on these very problems; NULL for the other series. widening: how much further than
-- resampled problems show it may be off, for they keep the choice (table selection); NULL likewise.
-- is_beyond: as there; most claims leave such budgets out.
CREATE OR REPLACE TEMP MACRO tested_series(scale_, scoring_, voting_) AS TABLE
WITH
cross_fitted AS (
    SELECT
        task,
        policy,
        'compute_optimal' AS series,
        budget,
        list(problem_id ORDER BY problem_id) AS problem_ids,
        list(accuracy ORDER BY problem_id) AS held_out
    FROM chosen_outcomes
    WHERE rule = 'cross_fitted' AND scoring = scoring_ AND voting = voting_
    GROUP BY ALL
)
SELECT
    one_series.* REPLACE (coalesce(cross_fitted.held_out, one_series.accuracies) AS accuracies),
    if(one_series.series = 'compute_optimal', list_avg(one_series.accuracies), NULL) AS in_sample,
    if(one_series.series = 'compute_optimal', selection.widening, NULL) AS widening
FROM series_at_every_budget(scoring_, voting_) AS one_series
LEFT JOIN cross_fitted USING (task, policy, series, budget, problem_ids)
LEFT JOIN selection
    ON
        selection.task = one_series.task
        AND selection.policy = one_series.policy
        AND selection.budget = one_series.budget
        AND selection.prm IS NULL
        AND selection.rule = 'cross_fitted'
        AND selection.scoring = scoring_
        AND selection.voting = voting_
WHERE
    one_series.series IS NOT NULL
    AND (one_series.series <> 'compute_optimal' OR cross_fitted.held_out IS NOT NULL)
    AND (one_series.task, one_series.policy) IN (SELECT (task, policy) FROM tested_pairs(scale_));

-- Whether an accuracy on some problems can stand beside a number that the paper prints of all of a task: it
-- is on all of them, or on those that a study of its own takes, the first. Others chose theirs, such as
-- those of the hardest level alone.
CREATE OR REPLACE TEMP MACRO stands_for_task(policy_, problem_ids_, n_problems_of_task_) AS (
    len(problem_ids_) = n_problems_of_task_
    OR policy_ IN (SELECT policy FROM policies WHERE origin = 'run')
);

-- The F1 (%) above which a PRM is strong: halfway between the ablest of the PRMs that the paper calls weak
-- and the poorest of those that it calls strong, as published for ProcessBench MATH (section 4.2).
CREATE OR REPLACE TEMP MACRO strong_from() AS (
    SELECT
        (
            max(f1) FILTER (regexp_matches(prm, '^(Math-Shepherd|RLHFlow)'))
            + min(f1) FILTER (regexp_matches(prm, '^(Skywork|Qwen2\.5-Math)'))
        ) / 2
    FROM processbench
    WHERE subset = 'MATH'
);

-- Accuracies per problem of one method (value; the mean of several) and of another (reference) with each
-- PRM, at every budget. Majority voting takes no PRM and stands beside each.
CREATE OR REPLACE TEMP MACRO method_pairs(
    scale_, scoring_, voting_, policies_, tasks_, difficulty_, first_, second_
) AS TABLE
WITH
matching AS (
    SELECT *
    FROM tested_outcomes(scale_)
    WHERE
        (method = 'majority' OR (scoring = scoring_ AND voting = voting_))
        AND regexp_full_match(policy_title, policies_)
        AND regexp_full_match(task_title, tasks_)
        AND regexp_full_match(coalesce(bucket, 'unknown'), difficulty_)
),
prms_of AS (SELECT DISTINCT task, policy, prm, prm_title, prm_format FROM matching WHERE prm IS NOT NULL)
SELECT
    matching.task,
    matching.task_title,
    matching.policy_title,
    prms_of.prm,
    prms_of.prm_title,
    prms_of.prm_format,
    matching.budget,
    matching.problem_id,
    avg(accuracy) FILTER (regexp_full_match(method, first_)) AS value,
    avg(accuracy) FILTER (regexp_full_match(method, second_)) AS reference
FROM matching
INNER JOIN prms_of
    ON
        matching.task = prms_of.task
        AND matching.policy = prms_of.policy
        AND (matching.prm = prms_of.prm OR matching.prm IS NULL)
GROUP BY ALL;

-- Cases of a measured claim from pairs of accuracies (a table: task, task_title, policy_title, prm,
-- prm_title, budget, problem_id, value, reference): each task, policy and PRM at its largest budget. A PRM
-- is one model whatever its title says of it on a task.
CREATE OR REPLACE TEMP MACRO cases_at_largest_budget(pairs_) AS TABLE
SELECT
    concat_ws(', ', policy_title, prm_title, task_title, 'N = ' || budget) AS case_name,
    task,
    policy_title AS policy,
    prm,
    list(problem_id ORDER BY problem_id) AS problem_ids,
    list(value ORDER BY problem_id) AS value,
    list(reference ORDER BY problem_id) AS reference
FROM (
    FROM query_table(pairs_)
    WHERE value IS NOT NULL AND reference IS NOT NULL AND budget > 1
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy_title, prm)
)
GROUP BY task, task_title, policy_title, prm, prm_title, budget;

-- Accuracies per problem of what others ran and published, with the names of the model and the source
-- (table pool_outcomes says what the parts are).
CREATE OR REPLACE TEMP MACRO public_outcomes() AS TABLE
SELECT
    pool_outcomes.*,
    policies.title AS policy_title,
    policies.model,
    policies.weights,
    policies.collection,
    policies.family,
    policies.n_parameters,
    tasks.title AS task_title,
    prms.title AS prm_title,
    prms.format AS prm_format
FROM pool_outcomes
INNER JOIN policies USING (policy)
INNER JOIN tasks USING (task)
LEFT JOIN prms USING (prm);

-- One greedy answer to a problem, of the collection of a model that has the most problems of a task.
-- has_answer: whether the text ends in an answer at all.
CREATE OR REPLACE TEMP MACRO public_cot() AS TABLE
SELECT
    outcome.*,
    coalesce(answered.has_answer, false) AS has_answer,
    answered.n_tokens
FROM public_outcomes() AS outcome
LEFT JOIN (
    SELECT task, policy, problem_id, answer IS NOT NULL AS has_answer, n_tokens
    FROM pools
    WHERE pool = 'greedy'
) AS answered USING (task, policy, problem_id)
WHERE
    outcome.method = 'cot'
    AND outcome.part = 'whole'
    AND (outcome.task, outcome.policy) IN (
        SELECT (task, policy)
        FROM public_outcomes()
        WHERE method = 'cot' AND part = 'whole'
        GROUP BY task, model, policy
        QUALIFY row_number() OVER (PARTITION BY task, model ORDER BY count(*) DESC, policy) = 1
    );

-- The model whose weights another one quantises, by its name.
CREATE OR REPLACE TEMP MACRO base_model(model) AS regexp_replace(model, '-(AWQ|GPTQ|GGUF).*$', '');

-- Tokens of one sample of a problem, and of one search with all that it discarded; NULL where they are
-- not known. is_retokenised: whether some were counted again from the text, as only samples can be.
CREATE OR REPLACE TEMP MACRO tokens_of_samples() AS TABLE
SELECT
    task,
    policy,
    pool,
    problem_id,
    if(count(n_tokens) = count(*), avg(n_tokens), NULL) AS tokens,
    avg((answer IS NULL)::INTEGER) AS share_without_answer,
    bool_or(retokenised) AS is_retokenised
FROM answers
WHERE pool IS NOT NULL
GROUP BY task, policy, pool, problem_id;

CREATE OR REPLACE TEMP MACRO tokens_of_searches() AS TABLE
SELECT
    task,
    policy,
    prm,
    method,
    budget,
    problem_id,
    if(count(tokens) = count(*), avg(tokens), NULL) AS tokens
FROM (
    SELECT
        task,
        policy,
        prm,
        method,
        budget,
        problem_id,
        repetition,
        if(count(n_tokens_tree) = count(*), sum(n_tokens_tree), NULL) AS tokens
    FROM (
        FROM answers
        WHERE method IS NOT NULL
        QUALIFY row_number() OVER (
            PARTITION BY task, policy, prm, method, budget, problem_id, repetition, subtree
            ORDER BY sample_index
        ) = 1
    )
    GROUP BY task, policy, prm, method, budget, problem_id, repetition
)
GROUP BY task, policy, prm, method, budget, problem_id;

-- Strategies chosen by predicted difficulty against other ways to choose (table predicted_gaps), all on
-- other problems, with the accuracies per problem of both: one row per task, policy, PRM, budget and
-- against. samples: what a problem takes on average, of the first and of the other way.
CREATE OR REPLACE TEMP MACRO predicted_comparisons(scoring_, voting_) AS TABLE
WITH
problems_of AS (
    SELECT task, policy, list(problem_id ORDER BY problem_id) AS problem_ids
    FROM predictions
    WHERE prm IS NULL
    GROUP BY ALL
),
chosen_by_rule AS (
    SELECT outcomes_of.*, selected.samples, selected.n_probes
    FROM predicted_outcomes AS outcomes_of
    LEFT JOIN (FROM predicted_selection WHERE bucket = 'all') AS selected
        USING (task, policy, prm, scoring, voting, budget, rule)
    WHERE outcomes_of.scoring = scoring_ AND outcomes_of.voting = voting_
)
SELECT
    predicted.task,
    tasks.title AS task_title,
    predicted.policy,
    policies.title AS policy_title,
    policies.model,
    policies.family,
    policies.n_parameters,
    policies.origin,
    predicted.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    predicted.budget,
    predicted.n_probes,
    predicted.samples,
    coalesce(other.samples, other.budget) AS other_samples,
    gaps.against,
    problems_of.problem_ids,
    predicted.accuracies AS value,
    other.accuracies AS reference,
    gaps.choice_deviations
FROM chosen_by_rule AS predicted
INNER JOIN predicted_gaps AS gaps USING (task, policy, prm, scoring, voting, budget)
INNER JOIN chosen_by_rule AS other
    ON
        other.task = predicted.task
        AND other.policy = predicted.policy
        AND other.prm = predicted.prm
        AND other.budget = predicted.budget
        AND other.rule = gaps.against
INNER JOIN problems_of ON problems_of.task = predicted.task AND problems_of.policy = predicted.policy
INNER JOIN policies ON policies.policy = predicted.policy
INNER JOIN prms ON prms.prm = predicted.prm
INNER JOIN tasks ON tasks.task = predicted.task
WHERE predicted.rule = 'predicted';

-- The evaluation pools under this study's grader and another: the official rules, or math-verify as it comes;
-- one row per task, policy and other grader. A pair is a different answer of a problem; what a grader could
-- not decide counts as wrong. accuracies, other_accuracies: share of right samples of each problem of the
-- task, in the same order; NULL where the pool has none.
CREATE OR REPLACE TEMP MACRO judged_twice() AS TABLE
WITH
verdicts AS (
    UNPIVOT (
        SELECT
            task,
            policy,
            problem_id,
            answer,
            coalesce(correct, FALSE) AS right_by_ours,
            coalesce(official_correct, FALSE) AS official,
            coalesce(plain_correct, FALSE) AS "math-verify"
        FROM pools
        WHERE pool = 'evaluation'
    )
    ON official, "math-verify"
    INTO NAME grader VALUE right_by_other
),
pairs AS (
    SELECT
        task,
        policy,
        grader,
        count(*) AS n_pairs,
        count(*) FILTER (right_by_ours AND NOT right_by_other) AS n_right_by_ours_only,
        count(*) FILTER (right_by_other AND NOT right_by_ours) AS n_right_by_other_only
    FROM (SELECT DISTINCT * FROM verdicts)
    GROUP BY ALL
),
by_problem AS (
    SELECT
        task,
        policy,
        grader,
        problem_id,
        avg(right_by_ours::INTEGER) AS accuracy,
        avg(right_by_other::INTEGER) AS other_accuracy
    FROM verdicts
    GROUP BY ALL
),
accuracies AS (
    SELECT
        task,
        policy,
        grader,
        list(by_problem.accuracy ORDER BY problem_id) AS accuracies,
        list(by_problem.other_accuracy ORDER BY problem_id) AS other_accuracies
    FROM pairs
    INNER JOIN problems USING (task)
    LEFT JOIN by_problem USING (task, policy, grader, problem_id)
    GROUP BY task, policy, grader
)
SELECT
    pairs.*,
    accuracies.accuracies,
    accuracies.other_accuracies
FROM pairs
INNER JOIN accuracies USING (task, policy, grader);

-- How far verdicts of evaluation pools hang on the grader (judged_twice), of policies of one origin: one row
-- per task, policy and other grader. NULL where the study means to run a pool and has not; rollouts of others
-- that are no pool of samples have no row. replicates, confidence, seed: the study's settings of intervals.
CREATE OR REPLACE TEMP MACRO grader_sensitivity(origin_) AS TABLE
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    graders.grader,
    graders.title AS grader_title,
    judged.n_pairs,
    judged.n_right_by_ours_only,
    judged.n_right_by_other_only,
    judged.accuracies,
    judged.other_accuracies,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM tasks
CROSS JOIN settings
INNER JOIN (
    SELECT task, policy FROM planned()
    UNION
    SELECT task, policy FROM judged_twice()
) AS shown USING (task)
INNER JOIN policies USING (policy)
CROSS JOIN (
    VALUES (1, 'official', 'official code'), (2, 'math-verify', 'math-verify')
) AS graders (rank, grader, title)
LEFT JOIN judged_twice() AS judged USING (task, policy, grader)
LEFT JOIN ranked_tasks() AS ranked ON ranked.task = tasks.task
WHERE policies.origin = origin_ AND (origin_ = 'run' OR judged.n_pairs IS NOT NULL)
ORDER BY
    ranked.task_rank NULLS LAST, tasks.task, policies.family, policies.n_parameters, policies.policy, graders.rank;
