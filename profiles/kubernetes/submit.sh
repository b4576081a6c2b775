#!/bin/sh
# Makes one Kubernetes job of one Snakemake job and prints its name, by which status.sh asks for it.
#   submit.sh GPUS MEMORY_MB THREADS MINUTES JOBSCRIPT
# The volume of study.yaml is mounted where the driver has it, so the script and all files are there.
# Image and volume are those that the driver's environment names; study.yaml gives it its own.
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
  ttlSecondsAfterFinished: 86400
  template:
    spec:
      restartPolicy: Never
      # Of the pod, whose time begins on its node. A job's own begins when it is made: one that
      # waited for a GPU would be ended before it ran.
      activeDeadlineSeconds: $((minutes * 60))
      containers:
        - name: job
          image: $image
          workingDir: $PWD
          command: [sh, "$script"]
          # Models are fetched once, onto the volume.
          env: [{name: HF_HOME, value: "$PWD/resources/huggingface"}]
          envFrom: [{secretRef: {name: compute-optimal, optional: true}}]
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
