#!/bin/sh
# What Snakemake asks about a job: running, success or failed. A job that is gone has failed.
set -u
state=$(kubectl get "$1" --output='jsonpath={.status.conditions[?(@.status=="True")].type}' 2>&1) || {
  case $state in *NotFound*) echo failed ;; *) echo running ;; esac
  exit 0
}
case $state in
*Failed*) echo failed ;;
*Complete*) echo success ;;
*) echo running ;;
esac
