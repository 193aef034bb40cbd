"""A Ray cluster of several nodes on this machine, for tests: prints its dashboard's address, and obeys lines of stdin.

``kill`` ends one node but the head, as a power cut would; its place is taken by a new one. Anything else, or the end of
stdin, ends the cluster.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ray.cluster_utils import Cluster


def main(folder: str, nodes: int, cpus: int) -> None:
    """Runs the cluster; everything that Ray writes is in the folder."""
    os.environ["RAY_TMPDIR"] = folder
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # A node that is killed is missed within seconds.
    system = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 500}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": 0,
            "object_store_memory": 80 << 20,
            "_system_config": system,
        },
    )

    def add() -> object:
        return cluster.add_node(num_cpus=cpus, object_store_memory=80 << 20)

    others = [add() for _ in range(nodes - 1)]
    cluster.wait_for_nodes()
    print(json.dumps({"dashboard": cluster.head_node.webui_url, "address": cluster.address}), flush=True)
    try:
        for line in sys.stdin:
            if line.strip() != "kill":
                break
            cluster.remove_node(others.pop(0), allow_graceful=False)
            others.append(add())
            print(json.dumps({"killed": True}), flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), int(sys.argv[2]), int(sys.argv[3]))
