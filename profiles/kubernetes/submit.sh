#!/bin/sh
# Makes one Kubernetes job of one Snakemake job and prints its name, by which status.sh asks for it.
#   submit.sh GPUS MEMORY_MB THREADS MINUTES JOBSCRIPT
# The volume of study.yaml is mounted where the driver has it, so the script and all files are there.
set -eu
gpus=$1 memory=$2 threads=$3 minutes=$4 script=$(realpath "$5")
image=${COMPUTE_OPTIMAL_IMAGE:-compute-optimal:engine-cuda}
claim=${COMPUTE_OPTIMAL_CLAIM:-compute-optimal}

kubectl create --output=name --filename=- <<MANIFEST
apiVersion: batch/v1
kind: Job
metadata:
  generateName: compute-optimal-
  labels: {app: compute-optimal}
spec:
  # Snakemake decides about another try.
  backoffLimit: 0
  activeDeadlineSeconds: $((minutes * 60))
  ttlSecondsAfterFinished: 86400
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: job
          image: $image
          workingDir: $PWD
          command: [sh, "$script"]
          resources:
            requests: {cpu: "$threads", memory: ${memory}M}
            limits: {memory: ${memory}M, nvidia.com/gpu: $gpus}
          volumeMounts:
            - {name: study, mountPath: /study}
            # vLLM's worker processes talk through shared memory.
            - {name: shm, mountPath: /dev/shm}
      volumes:
        - name: study
          persistentVolumeClaim: {claimName: $claim}
        - name: shm
          emptyDir: {medium: Memory}
MANIFEST
