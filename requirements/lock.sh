#!/usr/bin/env bash
# Resolve the environments: versions and hashes, no index addresses. Needs uv.
set -euo pipefail
cd "$(dirname "$0")"

common=(--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet)

uv pip compile core.in --universal --python-version 3.11 "${common[@]}" -o core.lock
uv pip compile core.in test.in -c core.lock --universal --python-version 3.11 "${common[@]}" -o test.lock

# torch is installed beside the lock, so that a CPU build which the user's pip knows is taken. uv does
# not read pip's configuration: name a folder or index with that build in UV_FIND_LINKS or UV_INDEX.
uv pip compile core.in test.in engine-cpu.in -c test.lock --override overrides.txt \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package torch \
  "${common[@]}" -o engine-cpu.lock

# The engine for GPUs takes the torch that PyPI has, with CUDA.
uv pip compile core.in engine-cuda.in -c core.lock \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
  "${common[@]}" -o engine-cuda.lock

# Executor plugins, on top of any of the others.
uv pip compile core.in cluster.in -c core.lock --universal --python-version 3.11 \
  "${common[@]}" -o cluster.lock

# JupyterLab, for `make lab`.
uv pip compile core.in lab.in -c core.lock --universal --python-version 3.11 \
  "${common[@]}" -o lab.lock

uv pip compile s3.in --universal --python-version 3.11 "${common[@]}" -o s3.lock
