#!/bin/sh
# Two hosts on one Linux machine, as network namespaces with a cable between them, and torchrun on both (needs root).
#
#     examples/hosts/two_hosts.sh FOLDER [PROCESSES-PER-HOST]
#
# trains examples/hosts/elastic.py on them. With DIE_AT=25 in the environment a process of one host kills itself after
# step 25: both hosts start their processes again, which continue from the last checkpoint in FOLDER.
set -eu
folder=$1
per_host=${2:-1}
here=$(cd "$(dirname "$0")" && pwd)
one=edgewise-one-$$ two=edgewise-two-$$

clean() {
    ip netns del "$one" 2>/dev/null || true
    ip netns del "$two" 2>/dev/null || true
}
trap clean EXIT INT TERM

ip netns add "$one"
ip netns add "$two"
ip link add cable netns "$one" type veth peer name cable netns "$two"
for host in "$one 10.77.0.1" "$two 10.77.0.2"; do
    set -- $host
    ip -n "$1" addr add "$2/24" dev cable
    ip -n "$1" link set cable up
    ip -n "$1" link set lo up
done

# torchrun (2.13) finds out by its host name whether it is the meeting place, which namespaces share: so it is told.
start() {
    ip netns exec "$1" env GLOO_SOCKET_IFNAME=cable "${PYTHON:-python}" -m torch.distributed.run \
        --nnodes 2 --nproc-per-node "$per_host" --max-restarts 3 --local-addr "$2" \
        --rdzv-backend c10d --rdzv-id edgewise --rdzv-endpoint 10.77.0.1:29500 --rdzv-conf "is_host=$3" \
        "$here/elastic.py" "$folder"
}

start "$one" 10.77.0.1 1 &
first=$!
start "$two" 10.77.0.2 0 &
second=$!
wait "$first"
wait "$second"
