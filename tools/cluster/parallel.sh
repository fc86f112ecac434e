#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A batch in shards by GNU parallel, on this machine or on several that share a file system.
#
#   parallel.sh [-n SHARDS] [-j JOBS] [-S HOSTS] [-r RETRIES] JOURNALS TASK [OPTION…] FILE|DIR…
#
#   -n   how many shards (4); must stay the same when the command is given again
#   -j   how many at a time on each machine (1)
#   -S   machines as parallel(1) --sshlogin takes them: node1,node2,: (":" is this one)
#   -r   how often a shard is tried (3)
#
# JOURNALS is a directory on the shared file system; the same command again goes on where it stopped.
# DARKTABLE_AI names the program when it is not in the path. doc/cluster.md tells more.
set -eu

usage() {
  sed -n '3,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

shards=4 jobs=1 hosts='' retries=3
while getopts n:j:S:r: option; do
  case $option in
    n) shards=$OPTARG ;;
    j) jobs=$OPTARG ;;
    S) hosts=$OPTARG ;;
    r) retries=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || usage
if ! command -v parallel > /dev/null; then
  echo "parallel.sh: GNU parallel is not here. Install the package \"parallel\"." >&2
  exit 2
fi

mkdir -p "$1"
journals=$(cd "$1" && pwd)
task=$2
shift 2

# --quote: names keep their spaces; -I: patterns for -o have braces of their own
exec parallel --will-cite --quote -I @SHARD@ --jobs "$jobs" --retries "$retries" ${hosts:+--sshlogin "$hosts"} \
  --workdir "$PWD" --joblog "$journals/joblog" --line-buffer \
  "${DARKTABLE_AI:-darktable-ai}" "$task" --resume "--journal=$journals/@SHARD@-of-$shards.journal" \
  "--shard=@SHARD@/$shards" --progress=none "$@" ::: $(seq "$shards")
