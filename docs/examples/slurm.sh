#!/bin/bash
# Two machines with eight GPUs each under SLURM:   sbatch slurm.sh
# ntasks-per-node must be the number of GPUs: srun starts the processes, Lightning finds its place among them.
#SBATCH --job-name=twosome
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=SIGUSR1@120
#SBATCH --output=%x-%j.log
set -euo pipefail

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
# On machines without a way to the hub, download the model first and keep the jobs from asking for it.
export HF_HUB_OFFLINE=1

srun --kill-on-bad-exit=1 \
    python -m lightning_twosome.main fit \
    --config configs/tomato_salad.yaml \
    --config configs/model/qwen2.5-0.5b.yaml \
    --config configs/strategy/ddp.yaml \
    --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" \
    --run_dir runs/salad --seed_everything 1 --ckpt_path last
