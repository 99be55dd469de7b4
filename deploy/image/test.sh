#!/bin/sh
# Build the image with buildah, and run it with podman as a cluster would: make image-test
#
# read-only root, no capabilities, a random user with group 0, PID 1, SIGTERM, one state directory on a volume.
# Without BASE=IMAGE, a base image is made from Debian's packages, because no registry may be reachable.
set -eu
cd "$(dirname "$0")/../.."
sh .ci/require buildah podman mmdebstrap runc curl

image=localhost/ingestor
scratch=$(mktemp -d)
finish() {
    for name in ingestor-simulator ingestor-sidecar ingestor-term deploy_ingestor_1 deploy_application_1 deploy_aidp_1; do
        podman rm --force --time 0 "$name" >/dev/null 2>&1 || true
    done
    rm -rf "$scratch"
}
trap finish EXIT
uid=$((10000 + $$ % 50000))

export CONTAINERS_CONF="$PWD/deploy/image/containers.conf"

say() { printf '\n== %s\n' "$1"; }

if [ -z "${BASE:-}" ]; then
    BASE=localhost/python-debian
    buildah inspect "$BASE" >/dev/null 2>&1 || { say "base image"; sh deploy/image/base.sh "$BASE"; }
fi

say "build"
# The build reaches packages as this machine does: by its own certificates and its own settings of pip.
certificate=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$scratch/pip.conf"
python3 -m pip config get global.index-url > "$scratch/index" 2>/dev/null \
    && printf 'index-url = %s\n' "$(cat "$scratch/index")" >> "$scratch/pip.conf"
buildah bud --isolation chroot --format docker --pull-never --layers --quiet --build-arg "BASE=$BASE" --build-arg COMMIT=0123456789abcdef0123456789abcdef01234567 \
    --volume "$certificate:/etc/ssl/certs/ca-certificates.crt:ro" --volume "$scratch/pip.conf:/etc/pip.conf:ro" \
    --file deploy/image/Dockerfile --tag "$image" .
size=$(podman image inspect --format '{{.Size}}' "$image")
base=$(podman image inspect --format '{{.Size}}' "$BASE")
echo "size: $((size / 1000000)) MB, of which the base has $((base / 1000000)) MB"

# run NAME OPTIONS...: a container as the restricted profile of Kubernetes asks for it
run() {
    name=$1; shift
    podman run --name "$name" --network host --read-only --read-only-tmpfs=false --user "$uid:0" --cap-drop all \
        --security-opt no-new-privileges --memory 512m "$@"
}

say "every kind of --auth is imported; no pip, no build tools; all is compiled"
run ingestor-imports --rm --entrypoint python "$image" -c '
import importlib.util, os
from ingestor.api import credentials, principals, signing
from ingestor.cli import main
from oci.auth import signers
for name in ("InstancePrincipalsSecurityTokenSigner", "get_oke_workload_identity_resource_principal_signer",
             "get_resource_principals_signer", "SecurityTokenSigner"):
    getattr(signers, name)
for name in ("pip", "setuptools", "wheel", "ensurepip"):
    assert importlib.util.find_spec(name) is None, f"{name} is in the image"
for module in (main, principals, signers):
    assert os.path.exists(module.__cached__), f"{module.__name__} is not compiled"
print("fine")
'

say "start-up"
for turn in 1 2 3; do
    /usr/bin/time -f "%e s for ingestor --version, of these %U s in user mode" podman run --rm --read-only "$image" --version
done

podman run --rm --read-only "$image" --version | grep 0123456

say "4,000 records as user $uid, read-only, with a state directory on a volume"
mkdir -m 0770 "$scratch/state" && chgrp 0 "$scratch/state" && chown "$uid" "$scratch/state"
run ingestor-simulator --detach "$image" simulate --port 18765 >/dev/null
volume="--volume $scratch/state:/var/lib/ingestor"
aim="--endpoint http://127.0.0.1:18765 --platform-id ocid1.aidataplatform.oc1.simulated.example --workspace simulated"
python3 -c 'for n in range(4000): print(f"{{\"job_id\": \"{n}\", \"experiment_id\": \"1\", \"run_name\": \"run {n}\"}}")' > "$scratch/runs.jsonl"
# shellcheck disable=SC2086 - words
run ingestor-run --rm --interactive $volume "$image" run $aim --auth none --progress off --output json \
    < "$scratch/runs.jsonl" > "$scratch/run.out"
tail -n 1 "$scratch/run.out" | grep -q '"created": *4000'
[ "$(stat -c %a "$scratch/state/journal.db")" = 600 ]
echo "fine: 4,000 created, the journal is private"

say "PID 1 ends at SIGTERM, with code 75 because its input is left"
mkfifo "$scratch/pipe"
sleep 60 > "$scratch/pipe" & writer=$!
# shellcheck disable=SC2086 - words
run ingestor-term --interactive $volume "$image" run $aim --auth none --progress off < "$scratch/pipe" > "$scratch/term.out" 2>&1 &
until grep -q batch.started "$scratch/term.out" 2>/dev/null; do sleep 0.2; done
began=$(date +%s%N)
podman kill --signal TERM ingestor-term >/dev/null
code=$(podman wait ingestor-term)
echo "exit code $code after $((($(date +%s%N) - began) / 1000000)) ms"
kill "$writer"
podman rm ingestor-term >/dev/null
[ "$code" = 75 ]

say "a sidecar follows files, is live, and reads to their end after SIGTERM"
mkdir "$scratch/runs" && mkdir -m 0770 "$scratch/side" && chown "$uid:0" "$scratch/side"
: > "$scratch/termination-log" && chmod 0666 "$scratch/termination-log"
head -n 1000 "$scratch/runs.jsonl" > "$scratch/runs/app.jsonl"
# shellcheck disable=SC2086 - words
run ingestor-sidecar --detach --volume "$scratch/runs:/runs:ro" --volume "$scratch/side:/var/lib/ingestor" \
    --volume "$scratch/termination-log:/dev/termination-log" "$image" \
    run $aim --auth none --batch side --follow --listen 127.0.0.1:19464 /runs >/dev/null
until curl -fs http://127.0.0.1:19464/readyz > "$scratch/ready"; do sleep 0.2; done
curl -fs http://127.0.0.1:19464/livez >/dev/null
cat "$scratch/ready"; echo
mv "$scratch/runs/app.jsonl" "$scratch/runs/app.jsonl.1"
sed -n 1001,1204p "$scratch/runs.jsonl" > "$scratch/runs/app.jsonl"
podman kill --signal TERM ingestor-sidecar >/dev/null
code=$(podman wait ingestor-sidecar)
echo "exit code $code, termination message: $(cat "$scratch/termination-log")"
podman rm ingestor-sidecar >/dev/null
[ "$code" = 0 ]
grep -q '1,204 in, 0 left' "$scratch/termination-log"

say "the demonstration of compose.yaml"
python3 -m venv "$scratch/compose" && "$scratch/compose/bin/pip" install --quiet podman-compose 2>/dev/null
podman tag "$image" docker.io/library/ingestor
compose() { "$scratch/compose/bin/podman-compose" --file deploy/compose.yaml "$@" >> "$scratch/compose.log" 2>&1; }
compose up --detach
until curl -fs http://127.0.0.1:9464/metrics | grep -q 'outcome="created"} [1-9]'; do sleep 0.5; done
until curl -fs http://127.0.0.1:9464/readyz; do sleep 0.5; done
compose down --volumes --timeout 20

say "all is well: $((size / 1000000)) MB"
