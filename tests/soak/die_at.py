#!/usr/bin/env python3
"""The body of tests/soak/die-at: a process of davit ends at its N-th system call, for N = 1, 1 + stride, ... to the last.

  davitd   one life: it comes up and takes over a container that runs, starts another, sees it run, and stops it. It is killed
           at N, and the next one goes on. Each N must have: one run, one end with the right status, each line once, and the
           container that ran before undisturbed.
  davit-logd, davit-launch   the same life, and one of these is killed in it.
  exec     the same life of davitd, with a `davit exec` in it: each N must have one run of the command, and its exit status.
  run      with a `davit run` in it: one run, what it reads and writes is the client's, and its exit status is told.
  detach   with a `davit run --detach` in it: one run, and its name is told.
  init     davit-init while all programs are replaced in place (as no PID 1). It is killed at N, and the next one takes over:
           the container is the same process, and there is no second.
  errors   the same, but its N-th call fails with ENOMEM: whatever comes of the replacement, davit-init is the same process and
           works.
"""
import argparse
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import soak  # noqa: E402

ENOMEM = 12
PROGRAM = (
    "n=$$(($$(cat /data/n 2>/dev/null || echo 0) + 1)); "
    'trap "echo run $$n stopped; exit 77" TERM; echo run $$n line 1; echo run $$n line 2; echo $$n > /data/n; '
    "while :; do sleep 0.05; done"
)


def write_units(directory):
    for name in ("steady", "life"):
        with open(f"{directory}/units/{name}.container", "w", encoding="ascii") as f:
            f.write("[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage=busybox\nStopTimeout=60\n"
                    f"Volume={name}:/data\nExec=/bin/sh -c '{PROGRAM}'\n[Service]\n"
                    f"ExecStopPost=/bin/sh -c 'echo $$EXIT_CODE $$EXIT_STATUS >> {directory}/ends'\n")


def fail(n, text):
    sys.exit(f"at {n}: {text}")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def wait_until(n, what, condition):
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            fail(n, "not within five minutes: " + what)
        time.sleep(0.002)


class Fleet:
    def __init__(self, options):
        self.directory, self.init = options.directory, options.init
        self.steady = None
        self.executed = 0

    def ask(self, n, *arguments):
        try:
            r = soak.davit(*arguments)
        except subprocess.TimeoutExpired as e:
            fail(n, f"davit {' '.join(arguments)}: no answer in {e.timeout} s: {soak.describe()['life']}")
        if r.returncode != 0:
            fail(n, f"davit {' '.join(arguments)}: {r.stderr.decode()}")

    def count(self):
        return int(read(f"{self.directory}/state/volumes/life/_data/n") or 0)

    def life(self, n):
        """Starts it, and stops it once it can be told."""
        before = self.count()
        self.ask(n, "start", "life")
        wait_until(n, "the program", lambda: self.count() > before)
        self.ask(n, "stop", "life")

    def execute(self, n, *arguments):
        """A command that says which it was, passes on a line, and ends with a status of its own."""
        self.executed += 1
        number = str(self.executed)
        r = soak.davit(*arguments, "sh", "-c", f"echo {number} >>/data/done; read -r x; echo got $x; exit {self.executed % 100}",
                       text=number.encode())
        if r.returncode != self.executed % 100 or r.stdout.decode() != f"got {number}\n":
            fail(n, f"{arguments}: status {r.returncode}, not {self.executed % 100}: {r.stdout.decode()}{r.stderr.decode()}")

    def detach(self, n):
        self.executed += 1
        r = soak.davit("run", "--detach", "--name", f"one{self.executed}", "-v", "steady:/data", "busybox", "sh", "-c",
                       f"echo {self.executed} >>/data/done")
        if r.returncode != 0 or r.stdout.decode() != f"one{self.executed}.container\n":
            fail(n, f"davit run --detach: status {r.returncode}: {r.stdout.decode()}{r.stderr.decode()}")
        wait_until(n, "its end", lambda: f"one{self.executed}" not in soak.describe())

    def done(self):
        return read(f"{self.directory}/state/volumes/steady/_data/done").split()

    def check_steady(self, n):
        unit = soak.describe()["steady"]
        if self.steady is None:
            self.steady = unit["pid"]
        if unit["state"] != "running" or unit.get("pid") != self.steady or unit["restarts"]:
            fail(n, f"the container that runs is disturbed: {unit}")

    def manager(self):
        return next(iter(soak.parts(self.init)["davitd"]), None)

    def has_other_manager(self, old):
        return self.manager() not in (None, old)

    def kill_part(self, part):
        for pid in soak.parts(self.init)[part]:
            soak.kill(pid, signal.SIGKILL)

    def start_init(self):
        log = open(f"{self.directory}/init.log", "ab")
        p = subprocess.Popen([os.environ["DAVIT_BUILD"] + "/davit-init"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.init = p.pid
        with open(f"{self.directory}/pid", "w", encoding="ascii") as f:
            f.write(str(p.pid))
        return p


def in_one_life(fleet, part, n, what):
    """Does it in the life of a davitd (or of another part) that is killed at n. True if that came so far."""
    at = f"{fleet.directory}/die-at.{part}"
    with open(at + ".new", "w", encoding="ascii") as f:
        f.write(str(n))
    os.rename(at + ".new", at)
    fleet.kill_part(part)
    wait_until(n, f"a {part} that is watched", lambda: not os.path.exists(at))
    what(n)
    hit = os.path.exists(at + ".hit")
    if hit:
        os.unlink(at + ".hit")
    return hit


def one_life(fleet, part, n, runs):
    hit = in_one_life(fleet, part, n, fleet.life)
    if fleet.count() != runs:
        fail(n, f"{fleet.count()} runs, not {runs}")
    ends = read(f"{fleet.directory}/ends").splitlines()
    if len(ends) != runs or ends[-1] != "exited 77":
        fail(n, f"{runs} runs and {len(ends)} ends: {ends[-4:]}")
    fleet.check_steady(n)
    return hit


COMMANDS = {
    "exec": lambda fleet, n: fleet.execute(n, "exec", "-i", "steady"),
    "run": lambda fleet, n: fleet.execute(n, "run", "-i", "-v", "steady:/data", "busybox"),
    "detach": Fleet.detach,
}


def scan_commands(fleet, options):
    fleet.check_steady(0)
    runs, last = 0, 0
    for n in range(options.first, options.last + 1, options.stride):
        runs += 1
        hit = in_one_life(fleet, "davitd", n, lambda n: COMMANDS[options.what](fleet, n))
        if fleet.done() != [str(i) for i in range(1, runs + 1)]:
            fail(n, f"command {runs} was not run once: {fleet.done()[-3:]}")
        fleet.check_steady(n)
        if not hit:
            break
        last = n
    print(f"die-at: davitd killed at {runs} of its stops at system calls, up to number {last}, with a davit {options.what} "
          f"under way: {runs} runs of the command, and each was told of")


def check_lines(fleet, runs):
    """Each line once; the last ones may still be on their way."""
    wait_until(runs, "the last line", lambda: f"run {runs} stopped" in soak.log_lines(fleet.directory, "life"))
    text = soak.log_lines(fleet.directory, "life")
    for run in range(1, runs + 1):
        wanted = [f"run {run} line 1", f"run {run} line 2", f"run {run} stopped"]
        found = [line for line in text if line.startswith(f"run {run} ")]
        if found != wanted:
            fail(run, f"run {run} has the lines {found}")


def scan_part(fleet, options):
    """Of two launchers now one and now the other has the most to do."""
    runs, last, missed = 0, 0, 0
    for n in range(options.first, options.last + 1, options.stride):
        runs += 1
        if one_life(fleet, options.what, n, runs):
            last, missed = n, 0
        else:
            missed += 1
        if missed == (4 if options.what == "davit-launch" else 1):
            break
    check_lines(fleet, runs)
    print(f"die-at: {options.what} killed at {runs} of its stops at system calls, up to number {last}: "
          f"{runs} runs, ends and all lines once, nobody disturbed")


def tracer(fleet, n, *more):
    p = subprocess.Popen([f"{os.environ['DAVIT_BUILD']}/tests/soak/die-at", str(fleet.init), str(n), *more],
                         stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "ready\n":
        sys.exit(p.wait())
    return p


def scan_init(fleet, options):
    """The replacement has no end that could be seen, but hardly anything comes after the next davitd."""
    process, killed = None, 0
    os.kill(fleet.init, signal.SIGKILL)  # the shell's child; the next ones are ours
    process = fleet.start_init()
    for n in range(options.first, options.last + 1, options.stride):
        fleet.check_steady(n)
        old = fleet.manager()
        t = tracer(fleet, n)
        soak.kill(fleet.init, signal.SIGRTMIN + 25)
        wait_until(n, "its end, or another davitd", lambda: process.poll() is not None or fleet.has_other_manager(old))
        try:
            process.wait(options.patience)
            killed += 1
        except subprocess.TimeoutExpired:  # it sleeps: there are no n calls to make
            t.kill()
            t.wait()
            soak.kill(fleet.init, signal.SIGKILL)
            process.wait()
        t.wait()
        process = fleet.start_init()
    fleet.check_steady(options.last)
    if not killed:
        sys.exit("it was never killed")
    print(f"die-at: davit-init killed at {killed} of its stops while it was replaced, "
          "each time the next one had the same container")


def scan_errors(fleet, options):
    failed = 0
    for n in range(options.first, options.last + 1, options.stride):
        fleet.check_steady(n)
        old = fleet.manager()
        t = tracer(fleet, n, str(ENOMEM))
        soak.kill(fleet.init, signal.SIGRTMIN + 25)
        wait_until(n, "another davitd", lambda: fleet.has_other_manager(old))
        try:
            t.wait(options.patience)
            failed += t.stdout.read() == "hit\n"
        except subprocess.TimeoutExpired:
            t.kill()
            t.wait()
        fleet.life(n)
    fleet.check_steady(options.last)
    if not failed:
        sys.exit("no call was made to fail")
    print(f"die-at: {failed} system calls of davit-init failed while it was replaced: it goes on each time")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("units", *soak.PARTS, *COMMANDS, "init", "errors"))
    parser.add_argument("directory")
    parser.add_argument("--init", type=int)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=100000)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--patience", type=float, default=0.5)
    options = parser.parse_args()
    if options.what == "units":
        write_units(options.directory)
        return 0
    fleet = Fleet(options)
    fleet.ask(0, "start", "steady")
    fleet.check_steady(0)
    scans = {"init": scan_init, "errors": scan_errors, **dict.fromkeys(COMMANDS, scan_commands)}
    scans.get(options.what, scan_part)(fleet, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
