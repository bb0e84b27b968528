import signal
import threading

import pytest

from sde_jax import processes


@pytest.fixture
def started(job):
    def start(program):
        """A program once it has said that it is ready."""
        process = job.start(f"import hashlib, signal\n{program}")
        assert process.stdout.readline() == "ready\n", process.communicate()
        return process

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_is_inside_a_computation_with_75_and_one_line(job, started, number):
    process = started("""
with processes.interruptible():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in which Python hears no signal
""")
    process.send_signal(number)
    [ended] = job.ends(process)
    assert ended.code == 75
    assert ended.err.startswith(f"sde-jax: {number.name}: ended")
    assert len(ended.err.splitlines()) == 1


def test_a_handler_set_inside_has_its_way(job, started):
    process = started("""
with processes.interruptible():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
    print("ready", flush=True)
    time.sleep(600)
""")
    process.send_signal(signal.SIGTERM)
    assert job.ends(process)[0].code == 7


def test_files_that_belong_together_are_written_together(job, started, tmp_path):
    process = started(f"""
with processes.interruptible():
    with processes.deferred():
        print("ready", flush=True)
        time.sleep(1)
        open({str(tmp_path / "second")!r}, "w").close()
    time.sleep(600)
""")
    process.send_signal(signal.SIGTERM)
    assert job.ends(process)[0].code == 75
    assert (tmp_path / "second").exists()


def test_handlers_are_afterwards_as_they_were():
    before = signal.getsignal(signal.SIGTERM)
    with processes.interruptible(), processes.deferred():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_nothing_is_handled():
    found = []

    def work():
        with processes.interruptible(), processes.deferred():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_process_that_nobody_hears_ends_with_75_all_the_same(job, started):
    process = started("""
with processes.interruptible():
    print("ready", flush=True)
    print("something that is not flushed", end="")
    time.sleep(600)
""")
    for stream in (process.stdout, process.stderr):
        stream.close()
    process.stdout = process.stderr = None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
