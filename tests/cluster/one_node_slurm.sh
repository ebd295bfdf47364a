#!/usr/bin/env bash
# Run a command under a Slurm of one node, in a container without systemd; as root, with Debian's packages:
#
#   apt-get install --no-install-recommends slurm-wlm munge
#   tests/cluster/one_node_slurm.sh srun -n 4 hostname
#
# munged, slurmctld and slurmd are started with a configuration of their own, in a new folder, and ended
# afterwards. The node has four places whatever its cores, so that four processes can be tried.
set -euo pipefail

node=$(hostname -s)
work=$(mktemp -d /tmp/one-node-slurm.XXXXXX)
mkdir "$work/state" "$work/spool"
export SLURM_CONF=$work/slurm.conf

cat > "$SLURM_CONF" <<EOF
ClusterName=one
SlurmctldHost=$node
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
NodeName=$node CPUs=4 State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
EOF

finish() {
    for name in slurmctld slurmd munged; do
        if [ -s "$work/$name.pid" ]; then kill "$(cat "$work/$name.pid")" 2> /dev/null || true; fi
    done
    sleep 1
    rm -rf "$work"
}
trap finish EXIT

head -c 1024 /dev/urandom > "$work/munge.key"
chmod 0700 "$work"
chmod 0600 "$work/munge.key"
chmod 0711 "$work"
munged --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munged.seed"
slurmctld
slurmd
for _ in $(seq 60); do
    if [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ]; then break; fi
    sleep 0.5
done
if [ "$(sinfo --noheader --format=%T)" != idle ]; then
    echo "the node did not become idle" >&2
    tail -n 5 "$work"/*.log >&2
    exit 1
fi
"$@"
