#!/bin/sh
# The first run: a simulated AIDP with a hidden rate limit, and 4,000 records that are imported into it.
# All files are in .demo, which is created again each time. `ingestor` is found in PATH.
set -eu

records=4000
demo=.demo
rm -rf "$demo"
mkdir "$demo"

python -m ingestor.simulator.sample "$records" >"$demo/runs.jsonl"

mkfifo "$demo/ready"
ingestor simulate --port 0 --limit 500 --burst 0.1 --latency 0.02 --jitter 0.05 >"$demo/ready" 2>"$demo/simulator.log" &
simulator=$!
trap 'kill "$simulator" 2>/dev/null; wait "$simulator" 2>/dev/null || true' EXIT
read -r line <"$demo/ready" || { cat "$demo/simulator.log" >&2; exit 1; }

echo "$line"
set -- run "$demo/runs.jsonl" --endpoint "${line##* }" --auth none --state "$demo/state" \
    --platform-id ocid1.aidataplatform.oc1.simulated.example --workspace simulated
echo "ingestor $*"
echo
ingestor "$@"

echo
echo "The same command again creates nothing: each record already has its run. Look at the results:"
echo "  $(command -v ingestor) status --state $demo/state"
echo "  $(command -v ingestor) results --state $demo/state | head"
