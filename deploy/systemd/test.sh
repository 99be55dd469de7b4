#!/bin/sh
# Boot systemd in a container of the image that deploy/image/test.sh has built, and run both units: make image-test
#
# The follower becomes ready, shows what it does, and ends with 0 after `systemctl stop`. The backfill writes its metrics.
set -eu
cd "$(dirname "$0")/../.."

export CONTAINERS_CONF="$PWD/deploy/image/containers.conf"
name=ingestor-systemd
scratch=$(mktemp -d)
finish() {
    podman rm --force --time 0 "$name" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap finish EXIT

mkdir "$scratch/etc"
cp deploy/systemd/ingestor* "$scratch"
mmdebstrap --quiet --variant=minbase --include=python3,ca-certificates,systemd-sysv,dbus bookworm "$scratch/rootfs.tar"
openssl genrsa -out "$scratch/etc/key.pem" 2048 2>/dev/null
fingerprint=$(openssl rsa -in "$scratch/etc/key.pem" -pubout -outform DER 2>/dev/null | openssl md5 -c | cut -d ' ' -f 2)
cat > "$scratch/etc/oci_config" <<END
[DEFAULT]
user=ocid1.user.oc1..example
tenancy=ocid1.tenancy.oc1..example
region=us-ashburn-1
fingerprint=$fingerprint
key_file=/etc/ingestor/key.pem
END
cat > "$scratch/etc/ingestor.toml" <<END
endpoint = "http://127.0.0.1:8765"
platform_id = "ocid1.aidataplatform.oc1.simulated.example"
workspace = "simulated"
oci_config = "/etc/ingestor/oci_config"
END
cp "$scratch/etc/ingestor.toml" "$scratch/etc/nightly.toml"
cat > "$scratch/Dockerfile" <<END
FROM localhost/ingestor AS program
FROM scratch
ADD rootfs.tar /
COPY --from=program /opt/ingestor /opt/ingestor
COPY ingestor*.service ingestor*.timer /etc/systemd/system/
COPY ingestor.sysusers.conf /usr/lib/sysusers.d/ingestor.conf
COPY etc /etc/ingestor
RUN systemd-sysusers && chown -R ingestor /etc/ingestor && chmod 0400 /etc/ingestor/key.pem /etc/ingestor/oci_config \
    && install -d -o ingestor /var/lib/prometheus/node-exporter && mkdir -p /var/log/runs /srv/runs \
    && systemctl enable ingestor-nightly.timer
CMD ["/sbin/init"]
END
buildah bud --isolation chroot --format docker --quiet --tag "localhost/$name" "$scratch" >/dev/null
podman run --detach --name "$name" --systemd=always --network host --cap-add SYS_ADMIN "localhost/$name" >/dev/null
until podman exec "$name" systemctl is-system-running 2>/dev/null | grep -q running; do sleep 0.5; done
podman exec --detach "$name" /opt/ingestor/bin/ingestor simulate

podman exec "$name" sh -euc '
    for n in $(seq 50); do echo "{\"job_id\": \"$n\", \"experiment_id\": \"1\"}"; done | tee /srv/runs/a.jsonl > /var/log/runs/a.jsonl
    systemctl start ingestor-follow
    until systemctl show ingestor-follow --property StatusText | grep "50 in, 0 left"; do sleep 0.5; done
    echo "{\"job_id\": \"last\", \"experiment_id\": \"1\"}" >> /var/log/runs/a.jsonl
    systemctl stop ingestor-follow
    systemctl show ingestor-follow --property Result --property ExecMainStatus
    tail -n 1 /var/lib/ingestor/log.jsonl | grep -q "\"created\":51"
    systemctl start ingestor-nightly
    grep "^ingestor_last_exit_code.* 0" /var/lib/prometheus/node-exporter/ingestor.prom
    [ "$(stat -c %a /var/lib/prometheus/node-exporter/ingestor.prom)" = 644 ]
    systemctl list-timers --no-pager | grep -q ingestor-nightly
'
echo "fine: both units ran"
