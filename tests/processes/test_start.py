import socket
import threading
import time
from contextlib import suppress

import pytest

from sde_jax import processes
from sde_jax.errors import InputError
from sde_jax.processes.rendezvous import call, gather


def calls(job, *callers, count=3, wait=10.0):
    """What `gather` and each `call(index, count)` return or raise, in threads."""
    found = {}
    opened = job.connections

    def record(name, function, *arguments):
        try:
            found[name] = function(*arguments)
            opened.extend(found[name].values())
        except InputError as error:
            found[name] = str(error)

    jobs = [("gather", gather, job.port, count, wait)]
    jobs += [(f"call {i}", call, "localhost", job.port, n, index, wait) for i, (index, n) in enumerate(callers)]
    threads = [threading.Thread(target=record, args=arguments) for arguments in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_go_on_once_all_have_called_and_each_is_known_by_its_number(job):
    found = calls(job, (2, 3), (1, 3))
    assert sorted(found["gather"]) == [1, 2]
    for i, index in ((0, 2), (1, 1)):
        found[f"call {i}"][0].sendall(b"me")
        assert found["gather"][index].recv(2) == b"me"


def test_those_who_do_not_come_are_named_to_those_who_did(job):
    found = calls(job, (1, 4), (3, 4), count=4, wait=1.0)
    assert len(set(found.values())) == 1
    assert "process 2 of 4 did not call within 1 s" in found["gather"]


def test_a_number_that_two_have_is_told(job):
    found = calls(job, (1, 3), (1, 3))
    assert "two processes have --process_index=1" in found["gather"]
    assert found["call 0"] == found["call 1"] == found["gather"]


def test_another_count_is_told(job):
    found = calls(job, (1, 2))
    assert "process 1 has --process_count=2, process 0 has 3" in found["gather"]
    assert found["call 0"] == found["gather"]


def test_a_stranger_at_the_door_changes_nothing(job):
    program = threading.Thread(target=strange, args=(job.port,))
    program.start()
    found = calls(job, (1, 2), count=2)
    program.join()
    assert sorted(found["gather"]) == [1]


def strange(port):
    for _ in range(50):
        with suppress(OSError), socket.create_connection(("localhost", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        time.sleep(0.01)


def test_a_port_in_use_is_told_before_anything_starts(job):
    with socket.create_server(("", job.port)), pytest.raises(InputError, match=f"port {job.port}: cannot be used"):
        processes.initialize(f"localhost:{job.port}", 2, 0, wait=5)


def test_a_coordinator_that_does_not_answer_is_told_after_the_time_given(job):
    with pytest.raises(InputError, match=r"process 0 did not answer at localhost:\d+ within 1 s .*refused"):
        processes.initialize(f"localhost:{job.port}", 2, 1, wait=1)


@pytest.mark.parametrize("index", [2, -1])
def test_an_index_out_of_range_is_told(index):
    with pytest.raises(InputError, match=f"--process_index={index}: expected 0 to 1"):
        processes.initialize("localhost:1234", 2, index)


@pytest.mark.parametrize("coordinator", ["localhost", "localhost:", ":80", "localhost:0", "localhost:99999", "a:b"])
def test_a_coordinator_without_a_port_is_told(coordinator):
    with pytest.raises(InputError, match="expected HOST:PORT"):
        processes.initialize(coordinator, 2, 0)


def test_half_of_the_flags_are_refused():
    with pytest.raises(InputError, match="--coordinator, --process_count and --process_index together"):
        processes.initialize("localhost:1234", 2)


def test_where_nothing_is_detected_the_flags_are_named(monkeypatch):
    for name in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"no SLURM.* is found here; say --coordinator"):
        processes.initialize()


def test_one_process_alone_needs_no_other():
    processes.initialize("localhost:1234", 1, 0)
    assert processes.count() == 1
