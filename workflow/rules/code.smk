# Which code the later rules' results are of: an empty file for each command, under a name that carries the
# digest of all that the command imports and reads. Other code is another file, which is missing, so its
# rules run again; going back to older code is no exception, for a record replaces those before it.
#
# in:  the sources, of which study.plan takes the digest
# out: <results>/code/{verb}-{digest}


rule record_code:
    output:
        "<results>/code/{verb}-{digest}",
    log:
        "<logs>/record_code/{verb}-{digest}.log",
    retries: 0
    localrule: True
    params:
        others=lambda wildcards, output: output[0].removesuffix(wildcards.digest),
    shell:
        "(rm -f {params.others:q}* && touch {output:q}) 2>&1 | tee {log:q}"
