"""A Ray cluster on this machine: a head that does no work and nodes with one core each.

``python -m tests.stand_ins.ray_cluster FOLDER NODES`` prints its address, kills a node for each
line it reads, and takes everything down when its standard input ends. It listens on loopback alone.
FOLDER exists and has a short path: Ray puts sockets into it.
"""

import os
import sys
from pathlib import Path

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # keeps Ray from any other address


def main() -> None:
    folder = Path(sys.argv[1])
    # Ray writes the cluster's address to RAY_TMPDIR/ray and takes for granted that it exists.
    (folder / "ray").mkdir()
    os.environ.update(LOOPBACK, RAY_USAGE_STATS_ENABLED="0")
    os.environ.update(RAY_TMPDIR=str(folder), TMPDIR=str(folder))
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    settings = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
    settings |= {"object_store_memory": 80 * 2**20, "temp_dir": str(folder)}
    cluster.add_node(num_cpus=0, **settings)
    nodes = [cluster.add_node(num_cpus=1, **settings) for _ in range(int(sys.argv[2]))]
    try:
        print(cluster.address, flush=True)
        for _ in sys.stdin:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("removed", flush=True)
    finally:
        for node in (*nodes, cluster.head_node):
            cluster.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    main()
