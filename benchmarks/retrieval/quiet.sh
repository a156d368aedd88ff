#!/usr/bin/env bash
# All timings and the table of long embeddings, one after the other, for a machine with nothing else to do.
#
#   benchmarks/retrieval/quiet.sh DATA PYTHON [KEPT.npz]     # about two hours on two cores; KEPT is of quality.py --keep
set -uo pipefail
data=$1 python=$2 kept=${3:-}
here=$(dirname "$0")
real=()
[ -z "$kept" ] || real=(--kept "$kept")
run() { echo "## $*"; "$python" "$here/$1" "${@:2}"; }
run speed.py words "$data"/books/*.txt
run speed.py cut "$data"/books/*.txt
run speed.py embedding "$data/books/alice.txt" --count 300
run speed.py rivals --count 20000 "${real[@]}"
run speed.py vectors --count 1000000 "${real[@]}"
for native in 256 512; do
    run longembed.py --texts "$data/books" --lengths 256:16,1024:16,2048:16,4096:16 --longest 4096 --native "$native"
done
run longembed.py --texts "$data/books" --lengths 8192:10,16384:8,32768:6 --ways passages cut pcw
