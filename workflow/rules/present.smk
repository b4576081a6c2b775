# Every figure, table and notebook is a query on the database and a definition in the package.
#
# in:  <results>/study.duckdb, workflow/sql/*.sql, notebooks/*.ipynb
# out: <results>/figures/{figure}.{svg,pdf,png}, <results>/tables/{table}.{csv,md,tex},
#      <results>/notebooks/{notebook}.{ipynb,html}


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


rule run_notebook:
    input:
        database="<results>/study.duckdb",
        notebook="notebooks/{notebook}.ipynb",
        code=plan.sources("present"),
    output:
        executed="<results>/notebooks/{notebook}.ipynb",
        html=report(
            "<results>/notebooks/{notebook}.html",
            category="Notebooks",
            labels={"notebook": "{notebook}"},
        ),
    log:
        "<logs>/run_notebook/{notebook}.log",
    shell:
        "python -m compute_optimal run-notebook {input.notebook:q}"
        " --database {input.database:q}"
        " --outputs {output:q}"
        " 2>&1 | tee {log:q}"
