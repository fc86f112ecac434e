#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A batch as a job array of Slurm: one shard for each task of the array.
#
#   sbatch [--array=1-N] slurm.sh JOURNALS TASK [OPTION…] FILE|DIR…
#
# JOURNALS is a directory on the shared file system; a task that is requeued or submitted again goes on where it
# stopped. To run some tasks again, say how many there were: DT_SHARDS=8 sbatch --array=3,7 slurm.sh …
# DARKTABLE_AI names the program when it is not in the path. doc/cluster.md tells more.
#
#SBATCH --job-name=darktable-ai
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -eu

fail() {
  echo "slurm.sh: $1" >&2
  exit 2
}

[ $# -ge 3 ] || fail "usage: sbatch [--array=1-N] slurm.sh JOURNALS TASK [OPTION…] FILE|DIR…"
shard=${SLURM_ARRAY_TASK_ID:-}
shards=${DT_SHARDS:-${SLURM_ARRAY_TASK_COUNT:-}}
[ -n "$shard" ] && [ -n "$shards" ] || fail "this is no job array. Submit it with sbatch --array=1-N."
# an array with gaps, or one that begins elsewhere, would leave pictures out
if [ -z "${DT_SHARDS:-}" ]; then
  [ "${SLURM_ARRAY_TASK_MIN:-1}" -eq 1 ] && [ "${SLURM_ARRAY_TASK_MAX:-$shards}" -eq "$shards" ] ||
    fail "the array must be 1-N. To run some of its tasks again set DT_SHARDS=N."
fi

journals=$1
task=$2
shift 2
mkdir -p "$journals"

# the program sees the memory of the node, not what the job may use of it
memory=${SLURM_MEM_PER_NODE:+--memory=$((SLURM_MEM_PER_NODE * 3 / 4))M}
exec "${DARKTABLE_AI:-darktable-ai}" "$task" --resume "--journal=$journals/$shard-of-$shards.journal" \
  "--shard=$shard/$shards" --progress=none ${memory:+"$memory"} "$@"
