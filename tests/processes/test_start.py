import socket
import threading
import time
from contextlib import suppress

import pytest

from sde_jax import processes
from sde_jax.errors import InputError
from sde_jax.processes.rendezvous import call, gather, listening


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


STRANGERS = [
    b"[1e999, 2]\n",
    b"[NaN, 2]\n",
    b"[Infinity, -Infinity]\n",
    b"[-1, 2]\n",
    b"[0, 2]\n",
    b"[2, 2]\n",
    b"[1, -2]\n",
    b"[true, 2]\n",
    b"[1.0, 2]\n",
    b'["1", "2"]\n',
    b"[1, 2, 3]\n",
    b"[[1, 2]]\n",
    b'{"1": 2}\n',
    b"null\n",
    b"12\n",
    b"\n",
    b"\0\n",
    b"\xff\xfe\xfd\n",
    b"\xc3(\n",
    b"[" * 90 + b"\n",
    b"[" * 10**5,
    b"9" * 10**6 + b"\n",
    b"[1, 2]",  # and hangs up before its line ends
    b"[1, 2]\n[1, 2]\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"",
]
"""What comes from who is no process."""


def test_strangers_who_say_anything_or_nothing_change_nothing(job):
    kept, done = [], threading.Event()

    def come() -> None:
        for i, said in enumerate(3 * STRANGERS):
            with suppress(OSError):
                stranger = socket.create_connection(("127.0.0.1", job.port), timeout=30)
                kept.append(stranger)
                stranger.sendall(said)
                if i % 3 == 1:
                    stranger.shutdown(socket.SHUT_WR)
                if i % 3 == 2:
                    stranger.close()
        done.set()

    def late() -> None:
        done.wait(60)
        job.connections.extend(call("127.0.0.1", job.port, 3, 2, 60).values())

    threads = [threading.Thread(target=work) for work in (come, late)]
    door = threading.Thread(target=lambda: found.update(gather(job.port, 3, 60, "127.0.0.1")))
    found: dict[int, socket.socket] = {}
    try:
        for thread in (door, *threads):
            thread.start()
            time.sleep(0.2)  # the door is open before the first comes
        job.connections.extend(call("127.0.0.1", job.port, 3, 1, 60).values())
        door.join(120)
        assert sorted(found) == [1, 2]
    finally:
        for connection in (*kept, *found.values()):
            connection.close()


def test_who_called_and_is_gone_may_call_again(job):
    found, before = {}, socket.socket()
    door = threading.Thread(target=lambda: found.update(gather(job.port, 3, 60, "127.0.0.1")))
    door.start()
    time.sleep(0.2)
    with before:
        before.connect(("127.0.0.1", job.port))
        before.sendall(b"[1, 3]\n")
        time.sleep(0.2)
    threads = [
        threading.Thread(target=lambda i=i: job.connections.extend(call("127.0.0.1", job.port, 3, i, 60).values()))
        for i in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in (door, *threads):
        thread.join(120)
    assert sorted(found) == [1, 2]
    job.connections.extend(found.values())
    for i, peer in found.items():
        peer.sendall(b"%d" % i)
    assert sorted(int(peer.recv(1)) for peer in job.connections[:2]) == [1, 2]


ANSWERS = [b"HTTP/1.1 400\r\n\r\n", b"[" * 9000 + b"\n", b"x" * 10**5, b'{"a": 1}\n', b"\xff\n", b"1e999\n", b""]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_no_process_gives_is_none(answer):
    with socket.create_server(("127.0.0.1", 0)) as door:
        port, found = door.getsockname()[1], []
        door.settimeout(60)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = door.accept()
                    with peer, suppress(OSError):
                        peer.sendall(answer)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        with pytest.raises(InputError, match=f"process 0 did not answer at 127.0.0.1:{port} within 0.3 s"):
            found.append(call("127.0.0.1", port, 2, 1, 0.3))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("10.1.2.3", "10.1.2.3"),
        ("node-3.example.org", None),
    ],
)
def test_process_0_listens_where_it_is_called(host, address):
    assert listening(host) == address


def test_process_0_of_a_loopback_address_is_not_heard_from_elsewhere(job):
    # 127.0.0.2 is this machine too: what listens at every address answers there.
    def listen() -> None:
        with suppress(InputError):  # nobody comes
            gather(job.port, 2, 1.5, "127.0.0.1")

    listener = threading.Thread(target=listen)
    listener.start()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", job.port), timeout=10)
    with socket.create_connection(("127.0.0.1", job.port), timeout=10):
        pass
    listener.join()


def test_an_address_of_another_machine_is_told(job):
    with pytest.raises(InputError, match=r"--coordinator=192.0.2.1: this machine has no such address"):
        processes.initialize(f"192.0.2.1:{job.port}", 2, 0, wait=5)


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
