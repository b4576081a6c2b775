#!/usr/bin/env bash
# Resolve the environments: versions and hashes, no index addresses. `make lock` brings uv, which it needs.
# A version that is locked stays while it fits; UV_UPGRADE=1 takes the newest ones.
set -euo pipefail
cd "$(dirname "$0")"

# uv does not read pip's configuration: where pip finds packages is passed on. Extra indexes are left
# out, for what they have is not all there is.
of_pip() {
  for key in ":env:.$1" "install.$1" "global.$1"; do
    if python -m pip config get "$key" 2>/dev/null; then return; fi
  done
}
pass_on() {
  local value=${!1:-$(of_pip "$2")}
  if [ -n "$value" ]; then export "$1=$value"; fi
}
pass_on UV_DEFAULT_INDEX index-url
pass_on UV_FIND_LINKS find-links
pass_on SSL_CERT_FILE cert

common=(--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet)

uv pip compile core.in --universal --python-version 3.11 "${common[@]}" -o core.lock
uv pip compile core.in test.in -c core.lock --universal --python-version 3.11 "${common[@]}" -o test.lock

# torch is installed beside the lock, so that a CPU build which the user's pip knows is taken. Where
# none is known, it is looked up in PyTorch's own index.
engine_cpu() {
  uv pip compile core.in test.in engine-cpu.in -c test.lock --override overrides.txt \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package torch \
    "${common[@]}" "$@" -o engine-cpu.lock
}
engine_cpu || engine_cpu --torch-backend cpu

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

# What packages that are published as source alone are built with, for an archive.
uv pip compile build.in -c core.lock --universal --python-version 3.11 "${common[@]}" -o build.lock

uv pip compile s3.in --universal --python-version 3.11 "${common[@]}" -o s3.lock
