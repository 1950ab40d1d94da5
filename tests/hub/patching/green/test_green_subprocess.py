"""subprocess of a patched program."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.programs.patched import run


def test_many_run_at_once(tmp_path: Path):
    said = run(
        """
        import os, subprocess, sys
        from greenserve import spawn
        os.chdir(sys.argv[1])
        os.mkfifo("begun")
        os.mkfifo("go")
        begun, go = (os.open(name, os.O_RDWR) for name in ("begun", "go"))
        greens = [spawn(subprocess.run, ["sh", "-c", "echo >begun; read line <go"]) for _ in range(20)]
        lines = b""
        while len(lines) < 20:
            lines += os.read(begun, 20)
        os.write(go, lines)
        print({green.wait().returncode for green in greens})
        """,
        str(tmp_path),
    )
    assert said == "{0}\n"


def test_run_communicate_and_the_pipes():
    said = run(
        """
        import json, subprocess, time
        from greenserve import spawn
        many = "x" * 300_000
        done = subprocess.run(["cat"], input=many, capture_output=True, text=True)
        with subprocess.Popen(["cat"], stdin=-1, stdout=-1, text=True, bufsize=1) as cat:
            cat.stdin.write("line\\n")
            line = cat.stdout.readline()
            cat.stdin.close()
        turns = []
        ticking = spawn(lambda: [(turns.append(1), time.sleep(0.01)) for _ in range(5)])
        raw = subprocess.Popen(["sh", "-c", "sleep 0.2; echo late"], stdout=-1, bufsize=0)
        late = raw.stdout.read().decode()
        raw.stdout.close()
        same = done.stdout == many
        print(json.dumps([same, line, cat.returncode, late, raw.wait(), len(turns)]))
        """
    )
    assert json.loads(said) == [True, "line\n", 0, "late\n", 0, 5]


def test_time_limits_and_the_end():
    said = run(
        """
        import os, signal, subprocess, time
        from greenserve import spawn
        process = subprocess.Popen(["sleep", "60"])
        for call in (lambda: process.wait(0.05), lambda: process.wait(0), lambda: process.communicate(timeout=0.05)):
            try:
                call()
            except subprocess.TimeoutExpired as error:
                print(error.cmd, round(error.timeout, 2))
        waiting = [spawn(process.wait) for _ in range(3)]
        time.sleep(0)
        process.kill()
        print([green.wait() for green in waiting], process.poll())
        try:
            subprocess.run(["sleep", "60"], timeout=0.05)
        except subprocess.TimeoutExpired as error:
            print(round(error.timeout, 2))
        taken = subprocess.Popen(["true"])
        os.waitpid(taken.pid, 0)
        print(taken.wait())
        with os.popen("echo popen") as pipe:
            print(os.system("exit 3") >> 8, pipe.read())
        """
    )
    assert said.splitlines() == [
        "['sleep', '60'] 0.05",
        "['sleep', '60'] 0",
        "['sleep', '60'] 0.05",
        "[-9, -9, -9] -9",
        "0.05",
        "0",
        "3 popen",
        "",
    ]


def test_waiting_for_a_child_costs_no_turns():
    said = run(
        """
        import subprocess, time
        clock = time.process_time()
        subprocess.run(["sleep", "1"], timeout=10)
        print(time.process_time() - clock < 0.1)
        """
    )
    assert said == "True\n"
