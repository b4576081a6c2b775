# Every figure, table and notebook is a query on the database and a definition in the package; a
# verdict is a query and a rule. One job draws all figures and one renders all tables: starting a
# process for each took longer than the drawing. The command draws what is missing: a figure whose
# rows and code are those of a drawing kept in <results>/figures/.drawn is copied from there.
# What reads the database alone is not retried, whatever a profile says: it would end the same way.
#
# in:  <results>/run/analysis.duckdb, config/{claims,paper}.yaml, workflow/sql/**/*.sql,
#      notebooks/*.ipynb
# out: <results>/study.duckdb (the same with the verdicts), <results>/index.html,
#      <results>/claims.{csv,md,tex}, <results>/{explorer,browser}.html,
#      <results>/ro-crate-metadata.json
#      <results>/figures/*.{svg,pdf,png}, <results>/tables/*.{html,csv,md,tex},
#      <results>/notebooks/*.{ipynb,html}


rule judge_claims:
    input:
        database="<results>/run/analysis.duckdb",
        claims="config/claims.yaml",
        priced_by="config/paper.yaml",
        code=plan.code("judge-claims"),
    output:
        csv=report(
            "<results>/claims.csv",
            caption="../report/generic/claims.rst",
            category="3 Verdicts, on printed numbers too",
            labels={"verdicts": "table"},
        ),
        database="<results>/study.duckdb",
        md="<results>/claims.md",
        tex="<results>/claims.tex",
        html=report(
            "<results>/index.html",
            caption="../report/generic/claims.rst",
            category="3 Verdicts, on printed numbers too",
            labels={"verdicts": "with every case"},
        ),
    log:
        "<logs>/judge_claims.log",
    retries: 0
    shell:
        "python -m compute_optimal judge-claims"
        " --claims {input.claims:q}"
        " --priced-by {input.priced_by:q}"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule draw_figures:
    input:
        database="<results>/run/analysis.duckdb",
        code=plan.code("draw-figures"),
    output:
        svg=[
            report(
                f"<results>/figures/{name}.svg",
                caption=f"../report/{name}.rst",
                category=plan.category(name),
                subcategory="Figures",
                labels={"figure": plan.heading(name)},
            )
            for name in plan.figures
        ],
        pdf=expand("<results>/figures/{name}.pdf", name=plan.figures),
        png=expand("<results>/figures/{name}.png", name=plan.figures),
    log:
        "<logs>/draw_figures.log",
    # Notebooks wait for the figures, and one core each is left for them and the browser then.
    priority: 1
    retries: 0
    threads: 2
    shell:
        "python -m compute_optimal draw-figures"
        " --database {input.database:q}"
        " --workers {threads}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule render_tables:
    input:
        database="<results>/run/analysis.duckdb",
        code=plan.code("render-tables"),
    output:
        html=[
            report(
                f"<results>/tables/{name}.html",
                caption=f"../report/{name}.rst",
                category=plan.category(name),
                subcategory="Tables",
                labels={"table": plan.heading(name)},
            )
            for name in plan.tables
        ],
        csv=expand("<results>/tables/{name}.csv", name=plan.tables),
        md=expand("<results>/tables/{name}.md", name=plan.tables),
        tex=expand("<results>/tables/{name}.tex", name=plan.tables),
    log:
        "<logs>/render_tables.log",
    retries: 0
    shell:
        "python -m compute_optimal render-tables"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule run_notebooks:
    input:
        notebooks=plan.notebook_sources,
        database="<results>/study.duckdb",
        claims="<results>/index.html",
        figures=rules.draw_figures.output.png,
        code=plan.code("run-notebooks"),
    output:
        executed=plan.notebooks_as("ipynb"),
        html=report(
            plan.notebooks_as("html"),
            category=plan.own_category,
            subcategory="Notebooks",
        ),
    log:
        "<logs>/run_notebooks.log",
    retries: 0
    shell:
        "python -m compute_optimal run-notebooks {input.notebooks:q}"
        " --database {input.database:q}"
        " --claims {input.claims:q}"
        " --figures {input.figures:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule build_explorer:
    input:
        database="<results>/run/analysis.duckdb",
        code=plan.code("build-explorer"),
    output:
        report(
            "<results>/explorer.html",
            caption="../report/explorer.rst",
            category="0 Explorer",
            labels={"page": "Explorer: accuracy by N, tokens, FLOPs, seconds"},
        ),
    log:
        "<logs>/build_explorer.log",
    retries: 0
    shell:
        "python -m compute_optimal build-explorer"
        " --database {input.database:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule build_browser:
    input:
        study=plan.description,
        database="<results>/run/analysis.duckdb",
        code=plan.code("build-browser"),
    output:
        report(
            "<results>/browser.html",
            caption="../report/browser.rst",
            category=plan.own_category,
            subcategory="Rollouts",
            labels={"page": "browser"},
        ),
    log:
        "<logs>/build_browser.log",
    resources:
        storage=plan.storage_at,
    shell:
        "python -m compute_optimal build-browser"
        " --study {input.study:q}"
        " --database {input.database:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule describe_provenance:
    input:
        study=plan.description,
        database="<results>/study.duckdb",
        claims=rules.judge_claims.output.csv,
        figures=rules.draw_figures.output.svg,
        tables=rules.render_tables.output.csv,
        browser=plan.browser,
        code=plan.code("describe-provenance"),
    output:
        "<results>/ro-crate-metadata.json",
    log:
        "<logs>/describe_provenance.log",
    retries: 0
    resources:
        storage=plan.storage_at,
    shell:
        "python -m compute_optimal describe-provenance"
        " --study {input.study:q}"
        " --database {input.database:q}"
        " --results {input.study:q} {input.database:q} {input.claims:q} {input.figures:q}"
        " {input.tables:q} {input.browser:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
