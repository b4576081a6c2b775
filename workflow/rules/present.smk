# Every figure, table and notebook is a query on the database and a definition in the package; a
# verdict is a query and a rule.
#
# in:  <results>/study.duckdb, config/claims.yaml, workflow/sql/**/*.sql, notebooks/*.ipynb
# out: <results>/claims.{csv,md,tex,html}, <results>/browser.html
#      <results>/figures/{figure}.{svg,pdf,png}, <results>/tables/{table}.{csv,md,tex},
#      <results>/notebooks/*.{ipynb,html}


rule judge_claims:
    input:
        database="<results>/study.duckdb",
        claims="config/claims.yaml",
        queries=plan.claim_queries,
        code=plan.sources("claims"),
    output:
        csv=report(
            "<results>/claims.csv",
            caption="../report/generic/claims.rst",
            category="Claims",
            labels={"verdicts": "table"},
        ),
        md="<results>/claims.md",
        tex="<results>/claims.tex",
        html=report(
            "<results>/claims.html",
            caption="../report/generic/claims.rst",
            category="Claims",
            labels={"verdicts": "with every case"},
        ),
    log:
        "<logs>/judge_claims.log",
    shell:
        "python -m compute_optimal judge-claims"
        " --claims {input.claims:q}"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule draw_figure:
    input:
        database="<results>/study.duckdb",
        queries=plan.queries,
        code=plan.sources("present"),
    output:
        svg=report(
            "<results>/figures/{figure}.svg",
            caption="../report/generic/item.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf="<results>/figures/{figure}.pdf",
        png="<results>/figures/{figure}.png",
    log:
        "<logs>/draw_figure/{figure}.log",
    params:
        caption=plan.caption,
    shell:
        "python -m compute_optimal draw-figure {wildcards.figure:q}"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule render_table:
    input:
        database="<results>/study.duckdb",
        queries=plan.queries,
        code=plan.sources("present"),
    output:
        csv=report(
            "<results>/tables/{table}.csv",
            caption="../report/generic/item.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md="<results>/tables/{table}.md",
        tex="<results>/tables/{table}.tex",
    log:
        "<logs>/render_table/{table}.log",
    params:
        caption=plan.caption,
    shell:
        "python -m compute_optimal render-table {wildcards.table:q}"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule run_notebooks:
    input:
        notebooks=plan.notebook_sources,
        database="<results>/study.duckdb",
        claims="<results>/claims.html",
        queries=plan.item_queries,
        code=plan.sources("notebooks"),
    output:
        executed=plan.notebooks_as("ipynb"),
        html=report(
            plan.notebooks_as("html"),
            category="Notebooks",
        ),
    log:
        "<logs>/run_notebooks.log",
    shell:
        "python -m compute_optimal run-notebooks {input.notebooks:q}"
        " --database {input.database:q}"
        " --claims {input.claims:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"


rule build_browser:
    input:
        study=plan.description,
        database="<results>/study.duckdb",
        queries=[
            "workflow/sql/browser_problems.sql",
            "workflow/sql/browser_answers.sql",
        ],
        code=plan.sources("browse"),
    output:
        report(
            "<results>/browser.html",
            caption="../report/browser.rst",
            category="Rollouts",
            labels={"page": "browser"},
        ),
    log:
        "<logs>/build_browser.log",
    resources:
        storage=plan.storage,
    shell:
        "python -m compute_optimal build-browser"
        " --study {input.study:q}"
        " --database {input.database:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
