"""One Ray cluster for all tests: processes of its own on the loopback device, gone when the tests end."""

from __future__ import annotations

import os
import secrets
import socket
import warnings

import pytest

from harden.engines.cluster import load_ray

CPUS = 2


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A head and a driver; tests may add nodes and kill workers."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        # A token of the tests' own, so that none is written to the user's home.
        token = tmp_path_factory.mktemp("ray") / "token"
        token.write_text(secrets.token_hex(32))
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("RAY_ADDRESS", "")
        # Ray gives a machine's agents 15 s to start, and every process of Ray imports jsonschema, which spends seconds
        # of processor time on the grammar of this package where it is installed, and does without where it is not.
        quick = tmp_path_factory.mktemp("quick")
        (quick / "rfc3987_syntax.py").write_text("raise ImportError\n")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(quick), os.environ.get("PYTHONPATH")))))
        # A busy machine needs more than the usual half minute.
        patch.setenv("RAY_raylet_start_wait_time_s", "300")
        patch.setenv("RAY_gcs_server_request_timeout_seconds", "300")
        patch.setenv("RAY_agent_register_timeout_ms", "300000")
        ray = load_ray()
        from ray.cluster_utils import Cluster

        options = {"num_cpus": CPUS, "object_store_memory": 100 * 2**20, "include_dashboard": False, "no_monitor": True}
        options["ray_client_server_port"] = free_port()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves the client server's log files open
            found = Cluster(initialize_head=True, head_node_args=options)
        ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
        found.client = f"ray://127.0.0.1:{options['ray_client_server_port']}"
        yield found
        ray.shutdown()
        found.shutdown()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def engine(cluster):
    from harden.engines.ray import RayEngine

    return RayEngine
