import signal
import socket
from queue import SimpleQueue

import pytest

from sde_jax.processes.line import Line, Notice

STEPS = """
with processes.together():
    for n in range(10**6):
        step()
        if n == 3:
            print("stepping", flush=True)
        {event}
        time.sleep(0.01)
"""


def after_steps(job, event="pass"):
    """Two processes that have begun to step."""
    both = job.start_two(STEPS.format(event=event))
    for process in both:
        while "stepping" not in (line := process.stdout.readline()):
            assert line, process.communicate()
    return both


@pytest.mark.parametrize("failing", [0, 1])
def test_an_exception_on_one_ends_both_and_its_traceback_comes_first(job, failing):
    both = after_steps(job, f"n == 5 and index == {failing} and 1 / 0")
    found = job.ends(*both)
    assert [found[failing].code, found[1 - failing].code] == [1, 76]
    for ended in found:
        assert ended.err.startswith(f"sde-jax: process {failing} of 2: Traceback")
        assert ended.err.endswith("ZeroDivisionError: division by zero\n")


def test_an_error_that_users_read_is_one_line_on_both(job):
    found = job.ends(*after_steps(job, "if n == 5 and index == 1: raise InputError('the number is off')"))
    assert [ended.code for ended in found] == [76, 2]
    assert {ended.err for ended in found} == {"sde-jax: process 1 of 2: the number is off\n"}


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_is_named_and_the_other_ends(job, killed):
    both = after_steps(job)
    both[killed].send_signal(signal.SIGKILL)
    found = job.ends(*both)
    ended = found[1 - killed]
    # Where process 0 is killed, JAX ends the others too, with a page of text and code 134: a race that we mostly win.
    lost = killed == 0 and ended.code == -signal.SIGABRT
    assert lost or ended.code == 76
    assert lost or f"sde-jax: process {killed} of 2: is gone" in ended.err


def test_a_stopped_process_is_ended_by_the_watchdog_of_the_others_with_the_stacks_of_all(job):
    program = """
    def hang():
        time.sleep(600)

    watchdog = processes.Watchdog(multiple=5, least=1.0, first=30)
    with processes.together(), watchdog.watching(0) as watch:
        for n in range(1, 10**6):
            if n == 8 and index == 1:
                hang()
            step()
            watch.beat(n)
    """
    found = job.ends(*job.start_two(program))
    assert [ended.code for ended in found] == [76, 76]
    for ended in found:
        assert "no step has ended for 1 s, since step 7" in ended.err.splitlines()[0]
    assert "in hang" in found[1].err


def test_who_comes_to_the_end_first_waits_and_leaves_with_the_other(job):
    program = """
    with processes.together():
        step()
        if index == 1:
            time.sleep(1.5)
        with processes.together():
            pass
        moment = time.time()
    print(time.time() - moment > 1, *processes.on_host([jax.numpy.arange(2)]))
    """
    first, second = job.ends(*job.start_two(program))
    assert (first.code, first.err, second.code, second.err) == (0, "", 0, "")
    assert "True [0 1]" in first.out
    assert "False [0 1]" in second.out


def test_an_inner_block_fails_before_what_surrounds_it_is_unwound(job):
    program = """
    with processes.together():
        try:
            with processes.together():
                step()
                if index == 1:
                    raise RunError("the number is off")
                time.sleep(600)
        finally:
            time.sleep(600)  # as one waits for a save that others must finish too
    """
    found = job.ends(*job.start_two(program))
    assert [ended.code for ended in found] == [76, 3]


def test_processes_that_differ_are_told_so_alike_and_the_first_decides(job):
    program = """
    with processes.together():
        assert processes.first_says(index == 0)
        assert processes.first_says({"steps": [index, None]}) == {"steps": [0, None]}
        processes.require_same({"seed": "1"})
        try:
            processes.require_same({"seed": "1", "config.training.batch_size": str(16 + 16 * index)})
        except InputError as error:
            print(error)
            raise
    """
    found = job.ends(*job.start_two(program))
    for ended in found:
        assert ended.code == 1
        assert "process 1 of 2: config.training.batch_size = 32, elsewhere 16" in ended.out
        assert "is gone" not in ended.err


def test_sigterm_ends_both_processes_with_75_inside_what_they_wait_for(job):
    program = """
    import jax.numpy as jnp
    with processes.together(), processes.interruptible():
        step()
        print("stepping", flush=True)
        if index == 0:
            step()  # which the other never does
        time.sleep(600)
    """
    both = job.start_two(program)
    for process in both:
        while "stepping" not in process.stdout.readline():
            assert process.poll() is None, process.communicate()
    both[0].send_signal(signal.SIGTERM)
    found = job.ends(*both)
    assert [ended.code for ended in found] == [75, 75]
    assert all(ended.err.startswith("sde-jax: process 0 of 2: SIGTERM: ended") for ended in found)


def test_a_collective_that_fails_ends_both_with_76_and_one_line(job):
    text = "UNKNOWN: Gloo context initialization failed: DEADLINE_EXCEEDED: GetKeyValue() timed out"
    found = job.ends(*after_steps(job, f"if n == 5 and index == 1: raise jax.errors.JaxRuntimeError('{text}')"))
    assert [ended.code for ended in found] == [76, 76]
    assert {ended.err for ended in found} == {
        f"sde-jax: process 1 of 2: the processes lost each other ({text}); run the same command again\n"
    }


@pytest.mark.parametrize(
    "said", [b"\xff\n", b"[1, 2]\n", b'[9, "x", 76, false]\n', b"[" * 10**5 + b"\n", b"1e999\n", b"null\n", b""]
)
def test_a_process_that_says_what_none_does_is_gone(said):
    heard: SimpleQueue = SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as theirs:
        ours, _ = door.accept()
        with ours:
            Line({1: ours}).listen(heard.put, lambda process: Notice(process, "gone", 76))
            theirs.sendall(said)
            theirs.shutdown(socket.SHUT_WR)
            assert heard.get(timeout=900) == (1, "gone", 76, False)
            assert heard.empty()


@pytest.mark.slow
def test_processes_that_come_to_their_first_collectives_a_minute_apart_go_on(job):
    program = """
    import numpy as np
    from sde_jax.training.mesh import MeshShape
    time.sleep(35 * index)
    with processes.together():
        time.sleep(35 * index)
        step()
        mesh = MeshShape(2).over()
        time.sleep(35 * index)
        split = jax.sharding.NamedSharding(mesh, jax.P(("data", "fsdp")))
        rows = jax.make_array_from_callback((2,), split, lambda i: np.arange(2.0)[i])
        total = jax.jit(jax.numpy.sum, out_shardings=jax.sharding.NamedSharding(mesh, jax.P()))(rows)
        print("total", total)
    """
    for ended in job.ends(*job.start_two(program), within=400):
        assert ended.code == 0, ended
        assert "total 1.0" in ended.out
