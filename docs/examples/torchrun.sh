#!/bin/bash
# Several GPUs under torchrun. One machine:     bash torchrun.sh
# Several machines, the same on each:           NODES=2 HEAD=first-machine bash torchrun.sh
# The same line goes on from the last checkpoint, so that it can be started again after any interruption.
set -euo pipefail
NODES=${NODES:-1}
GPUS=${GPUS:-8}
HEAD=${HEAD:-localhost}
RUN=${RUN:-runs/salad}

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}   # for each process: cores of a machine / GPUs

torchrun --nnodes "$NODES" --nproc-per-node "$GPUS" \
    --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" --rdzv-id "$(basename "$RUN")" \
    -m lightning_twosome.main fit \
    --config configs/tomato_salad.yaml \
    --config configs/model/qwen2.5-0.5b.yaml \
    --config configs/strategy/ddp.yaml \
    --trainer.num_nodes "$NODES" --trainer.devices "$GPUS" \
    --run_dir "$RUN" --seed_everything 1 --ckpt_path last
