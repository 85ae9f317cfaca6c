"""Batches run in other processes, a bounded number at a time, and a worker that dies is reported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from systems import needs_kills

from cxrbuild.errors import CxrbuildError
from cxrbuild.executors import WorkerDiedError, _without_interrupts, open_executor, run_batches


def double(n: int) -> tuple[int, int]:
    return 2 * n, os.getpid()


def die(n: int) -> int:
    if n == 3:
        os._exit(9)
    return n


def test_run_batches_yields_every_batch_with_its_result() -> None:
    drawn = []

    def batches():
        for n in range(20):
            drawn.append(n)
            yield n

    with open_executor("local", 2) as pool:
        done = {}
        for batch, (result, process) in run_batches(pool, double, batches(), ahead=4):
            assert process != os.getpid()
            assert len(drawn) - len(done) <= 5, "more was drawn than may be in flight"
            done[batch] = result
    assert done == {n: 2 * n for n in range(20)}


def test_a_process_without_a_batch_is_not_started() -> None:
    before = len(multiprocessing.active_children())
    with open_executor("local", 3, batches=2):
        assert len(multiprocessing.active_children()) == before + 2
    with open_executor("local", 3, batches=0) as pool:
        assert len(multiprocessing.active_children()) == before + 1
        assert [result for _, (result, _) in run_batches(pool, double, [4], ahead=1)] == [8]


@pytest.mark.parametrize("method", ["", "spawn"])
def test_a_script_without_a_guard_runs_once(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing.spawn, pickle, sys, threading\n"
        "from cxrbuild import executors\n"
        f"context = {method!r} and multiprocessing.get_context({method!r})\n"
        "executors._context = (lambda: context) if context else executors._context\n"
        "print('once')\n"
        "main = sys.modules['__main__']\n"
        "def use():\n"
        "    with executors.open_executor('local', 1) as pool:\n"
        "        assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]\n"
        "threads = [threading.Thread(target=use) for _ in range(2)]\n"
        "for thread in threads: thread.start()\n"
        "while any(thread.is_alive() for thread in threads):\n"
        "    pickle.dumps(use)\n"
        "    assert multiprocessing.spawn.get_preparation_data('')['init_main_from_path'] == __file__\n"
        "print(sys.modules['__main__'] is main)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    # Whatever the threads of the program do meanwhile.
    assert (ran.stdout, ran.stderr) == ("once\nTrue\n", "")


def test_run_batches_reports_a_worker_that_dies() -> None:
    with pytest.raises(CxrbuildError, match="a worker process died"), open_executor("local", 1) as pool:
        list(run_batches(pool, die, range(6), ahead=2))


@needs_kills
def test_workers_end_when_their_parent_is_killed() -> None:
    program = (
        "import os, time\n"
        "from cxrbuild.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    with open_executor('local', 2) as pool:\n"
        "        pool.submit(os.getpid).result()\n"
        "        print('started', flush=True)\n"
        "        time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
        # The workers hold the parent's standard output: only when the last one ended does it.
        assert parent.communicate(timeout=30) == (b"", None)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_an_interrupt_waits_until_the_workers_are_started() -> None:
    # A thread of a library, which does not block the signal: it is delivered there.
    over, steps = threading.Event(), []
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            with _without_interrupts():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
                steps.append("started")
            steps.append("went on")
    finally:
        over.set()
        thread.join()
    assert steps == ["started"]


@pytest.mark.skipif(sys.platform != "win32", reason="no console of Windows")
def test_control_c_of_a_console_does_not_reach_workers_that_start() -> None:
    program = (
        "import ctypes, signal, time\n"
        "from cxrbuild.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: print('received'))\n"
        "    with open_executor('local', 2) as pool:\n"
        "        time.sleep(0.2)\n"
        "        ctypes.windll.kernel32.GenerateConsoleCtrlEvent(0, 0)\n"  # to every process of the console
        "        print(list(pool.map(abs, [-1, -2])))\n"
    )
    flags = getattr(subprocess, "CREATE_NEW_CONSOLE", 0)
    done = subprocess.run(
        [sys.executable, "-c", program], creationflags=flags, capture_output=True, text=True, check=False
    )
    assert (sorted(done.stdout.split("\n")), done.stderr) == (["", "[1, 2]", "received"], "")


def fail_to_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_pool_that_cannot_start_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread that serves the processes starts another one with the first task that it passes on. If that
    # fails, Python 3.11 raises the error in that thread; later versions call the pool broken.
    errors = (RuntimeError, WorkerDiedError)
    with pytest.raises(errors, match=r"can't start|memory ran out"), open_executor("local", 1) as pool:  # noqa: PT012
        pool.submit(os.getpid).result()
        monkeypatch.setattr("multiprocessing.queues.Queue._start_thread", fail_to_start)
        pool._call_queue._thread = None  # type: ignore[attr-defined]
        list(run_batches(pool, double, range(6), ahead=2))


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_have_imported_what_they_use_and_no_threads_of_libraries() -> None:
    with open_executor("local", 2) as pool:
        for imported, threads in pool.map(describe_worker, range(4)):
            assert {"numpy", "PIL.JpegImagePlugin", "cxrbuild.convert.batch"} <= imported
            assert not {"pandas", "pyarrow"} & imported
            # Its own, and the one that waits for the end of its parent.
            assert threads == 2


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_the_process_that_workers_are_forked_from_has_one_thread() -> None:
    program = "import cxrbuild.preloaded, os; print(len(os.listdir('/proc/self/task')))"
    # The tests themselves let numpy start no threads.
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_modules_of_workers_import_little() -> None:
    program = (
        "import sys\n"
        "import cxrbuild.auditing.images, cxrbuild.auditing.pair_jobs, cxrbuild.convert.batch\n"
        "import cxrbuild.files, cxrbuild.review.rendering\n"
        "print(*{'pandas', 'pyarrow', 'pydantic', 'cxrbuild.catalog'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def describe_worker(_: int) -> tuple[set[str], int]:
    return set(sys.modules), len(list(Path("/proc/self/task").iterdir()))


@needs_kills
def test_processor_time_of_workers_is_part_of_the_commands() -> None:
    program = (
        "import time\n"
        "import cxrbuild.__main__\n"
        "from cxrbuild.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    with open_executor('local', 1) as pool:\n"
        "        pool.submit(exec, 'import time\\nwhile time.process_time() < 0.5: pass').result()\n"
        "    print(time.process_time())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    own = float(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert used.ru_utime + used.ru_stime - own > 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_program_does_not_wait_for_its_own_children() -> None:
    program = (
        "import os, time\n"
        "from multiprocessing.resource_tracker import _resource_tracker\n"
        "from cxrbuild.executors import open_executor\n"
        "if __name__ == '__main__':\n"
        "    with open_executor('local', 1) as pool:\n"
        "        pool.submit(os.getpid).result()\n"
        "    if (child := os.fork()) == 0:\n"
        # From Python 3.13 on, the interpreter itself waits at its end for the processes that have this pipe.
        "        os.close(_resource_tracker._fd)\n"
        "        time.sleep(600)\n"
        "    print(child, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert process.wait(30) == 0
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
