#!/bin/bash
# One training on two nodes with four GPUs each, under any version of Open MPI:
#   bash examples/cluster/train_open_mpi.sh node1 node2
set -euo pipefail

gpus=4
hosts=("$@")
places=$(printf "%s:$gpus," "${hosts[@]}")

# Open MPI 4 tells the processes where they meet, Open MPI 5 does not; so they are told by options here.
# shellcheck disable=SC2016  # Expanded on the nodes.
mpirun -np $((gpus * ${#hosts[@]})) --host "${places%,}" bash -c '
  export CUDA_VISIBLE_DEVICES=$OMPI_COMM_WORLD_LOCAL_RANK
  exec python -m fer_jax.train --config best --data "$0" --run-dir "$1" \
    --distributed.coordinator "$2:29400" \
    --distributed.process-count "$OMPI_COMM_WORLD_SIZE" --distributed.process-id "$OMPI_COMM_WORLD_RANK"
' "${DATA:-fer2013.csv}" "${RUN:-runs/best-mpi}" "${hosts[0]}"
