#!/usr/bin/env python3
"""The body of tests/soak/soak: `units` writes the unit files, `run` kills, waits and counts.

Three kinds of containers, each with a counter of its runs in a volume. Run number n of unit number u writes
"run n line 1" ... "run n line K", "run n end", and ends with status(u, n); asked to stop it writes "run n stopped" and
ends with 77. ExecStopPost= writes what davit learned of the end to a file.

  steady   runs from beginning to end
  loop     ends by itself and is restarted
  once     is started and stopped by this script at random

Checked at the end, for every unit:
  * every run that began has an end with the status that it must have had, in order, none twice, none missing
  * every line of every run is in the log, once, in order
  * a steady one is the process that it was at the beginning, and nobody restarted it
  * each command of the clients ran once, and its client was told of it: clients.py
"""
import argparse
import collections
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import Clients  # noqa: E402

STOPPED = 77
PARTS = ("davitd", "davit-launch", "davit-logd")


def status(unit, run):
    return (unit * 7 + run * 3) % 50 + 1


def lines(unit, run):
    return 10 + (unit + run) % 4 * 10


def kinds(count):
    """[(unit number, kind, name)]: a third of each kind."""
    names = ("steady", "loop", "once")
    return [(u, names[u % 3], f"{names[u % 3]}-{u}") for u in range(count)]


PROGRAM = (
    "n=$$(($$(cat /data/n 2>/dev/null || echo 0) + 1)); echo $$n > /data/.n && mv /data/.n /data/n; "
    'trap "echo run $$n stopped; exit 77" TERM; '
    "k=$$(({lines})); i=0; "
    "while [ $$i -lt $$k ]; do "
    'for j in 1 2 3 4 5 6 7 8 9 10; do i=$$((i + 1)); echo "run $$n line $$i"; done; sleep 0.1; done; '
    "trap '' TERM; echo run $$n end; exit $$((({unit} * 7 + n * 3) %% 50 + 1))"
)


def write_units(directory, count):
    for unit, kind, name in kinds(count):
        many = "1000000000" if kind == "steady" else f"10 + ({unit} + n) %% 4 * 10"
        restart = "Restart=always\nRestartSec=100ms\n" if kind == "loop" else ""
        with open(f"{directory}/units/{name}.container", "w", encoding="ascii") as f:
            f.write(
                "[Unit]\nStartLimitIntervalSec=0\n[Container]\nImage=busybox\n"
                f"Volume={name}:/data\nStopTimeout=60\n"
                f"Exec=/bin/sh -c '{PROGRAM.format(lines=many, unit=unit)}'\n"
                f"[Service]\n{restart}"
                f"ExecStopPost=/bin/sh -c 'echo $$SERVICE_RESULT $$EXIT_CODE $$EXIT_STATUS >> {directory}/ends/{name}'\n"
            )
    os.makedirs(f"{directory}/ends", exist_ok=True)


def davit(*arguments, timeout=300, text=b""):
    """Who finds no davitd at all, on a slow machine for longer than davit's own patience, comes again: nothing was done. Who
    loses one says more than that, since something may have been done."""
    for _ in range(20):
        r = subprocess.run(
            [os.environ["DAVIT_BUILD"] + "/davit", *arguments],
            input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        if b"Cannot reach davitd" not in r.stderr or b"cannot be told" in r.stderr:
            break
    return r


def describe():
    """Every unit by name; waits while davitd is away."""
    for _ in range(600):
        r = davit("list", "--all", "--json")
        if r.returncode == 0:
            return {u["name"].removesuffix(".container"): u for u in json.loads(r.stdout)}
        time.sleep(0.05)
    sys.exit("davitd does not come back: " + r.stderr.decode())


def is_part(pid):
    """Name if pid is one of davit's own programs. What a launcher has just cloned is still called davit-launch, but is in a
    unit's control group, or in the launcher's session."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            name, _, rest = f.read().split("(", 1)[1].rpartition(") ")
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
            groups = f.read()
    except OSError:
        return None
    session = int(rest.split()[3])
    return name if name in PARTS and session == pid and os.environ["DAVIT_NAME"] not in groups else None


def parts(init):
    """Pids of davit-init's programs, by name."""
    found = collections.defaultdict(list)
    with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as f:
        children = [int(pid) for pid in f.read().split()]
    for pid in children:
        name = is_part(pid)
        if name:
            found[name].append(pid)
    return found


class Kicks:
    """Jobs asked for in the background, one `davit` process each."""

    def __init__(self):
        self.running = []

    def ask(self, *arguments):
        self.reap()
        if len(self.running) < 8:
            self.running.append(subprocess.Popen(
                [os.environ["DAVIT_BUILD"] + "/davit", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def reap(self):
        self.running = [p for p in self.running if p.poll() is None]

    def wait(self):
        for p in self.running:
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return 0
    return 1


def next_manager(init, before):
    """The davitd that is not one of those before; what else runs."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        alive = parts(init)
        for pid in alive["davitd"]:
            if pid != before:
                return pid, alive
        time.sleep(0.001)
    sys.exit("no davitd comes up")


def storm(options, units):
    """Each davitd lives for a random time, mostly about as long as it takes to come up. For each so many of them that
    options.kills has for davitd, one davit-logd or davit-launch is killed, and all are replaced (SIGRTMIN+25). Once a
    second one lives until it has answered: on a slow machine hardly any would live for so long by chance, and davit's
    patience with a davitd that does not come back would end (3 s where it left in order)."""
    kicks, killed, at, pid = Kicks(), collections.Counter(), time.monotonic(), 0
    answered = at
    once = [name for _, kind, name in units if kind == "once"]
    every = {name: options.kills / max(n, 1) for name, n in
             (("davit-logd", options.logd), ("davit-launch", options.launch), ("replaced", options.replace)) if n}
    n = 0
    while killed["davitd"] < options.kills:
        n += 1
        pid, alive = next_manager(options.init, pid)
        if n % 5 == 0:
            kicks.ask(random.choice(("start", "start", "stop", "restart")), "--no-block", random.choice(once))
        time.sleep(min(random.expovariate(1 / options.life), 10 * options.life))
        if time.monotonic() > answered + 1:
            describe()
            answered = time.monotonic()
        for name in ("davit-logd", "davit-launch"):
            if name in every and n // every[name] > killed[name] and alive[name]:
                killed[name] += kill(random.choice(alive[name]), signal.SIGKILL)
        if "replaced" in every and n // every["replaced"] > killed["replaced"]:
            killed["replaced"] += replace(options)
            time.sleep(random.random() * options.life / 4)
        killed["davitd"] += kill(pid, signal.SIGKILL)
    kicks.wait()
    return killed, time.monotonic() - at


def replace(options):
    """Asks davit-init to replace all programs in place, by those of the other davit where there are two."""
    if options.programs:
        link, *builds = options.programs
        other = builds[os.readlink(link) == builds[0]]
        os.symlink(other, link + ".new")
        os.rename(link + ".new", link)
    return kill(options.init, signal.SIGRTMIN + 25)


def times_replaced(directory):
    with open(f"{directory}/init.log", encoding="utf-8", errors="replace") as f:
        return sum("replaced in place" in line for line in f)


def replace_all(options):
    """Once with nobody killing, for on a slow machine no davitd may have lived long enough to say that it has been."""
    before, end = times_replaced(options.directory), time.monotonic() + 300
    describe()
    replace(options)
    while times_replaced(options.directory) == before and time.monotonic() < end:
        time.sleep(0.05)


def all_running(names):
    end = time.monotonic() + 300
    while True:
        state = describe()
        missing = [n for n in names if state[n]["state"] != "running"]
        if not missing:
            return state
        if time.monotonic() > end:
            sys.exit("at the beginning: " + ", ".join(f"{n} is {state[n]['state']}" for n in missing))
        time.sleep(0.1)


def settle(units):
    """Stops everything that is not steady, waits until all is quiet."""
    names = [name for _, kind, name in units if kind != "steady"]
    end = time.monotonic() + 300
    while True:
        state = describe()
        busy = [n for n in names if state[n]["state"] not in ("inactive", "failed")]
        if not busy:
            return state
        if time.monotonic() > end:
            sys.exit("not at rest: " + ", ".join(f"{n} {state[n]['state']}/{state[n]['sub']}" for n in busy))
        davit("stop", *busy)
        time.sleep(0.2)


def log_lines(directory, name):
    """Lines of a container from its CRI files, oldest first."""
    files = sorted(glob.glob(f"{directory}/log/{name}.container.log.*"), key=lambda f: -int(f.rsplit(".", 1)[1]))
    text = []
    for path in files + [f"{directory}/log/{name}.container.log"]:
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                text += [line.rstrip("\n").split(" ", 3)[3] for line in f]
        except FileNotFoundError:
            pass
    return text


def runs_of(text):
    """{run: ([line numbers], how it ended)} and what does not fit."""
    runs, odd = collections.OrderedDict(), []
    for line in text:
        m = re.fullmatch(r"run (\d+) (?:line (\d+)|(end|stopped))", line)
        if not m:
            odd.append(line)
            continue
        numbers, end = runs.setdefault(int(m[1]), ([], []))
        if m[2]:
            numbers.append(int(m[2]))
        else:
            end.append(m[3])
    return runs, odd


class Check:
    def __init__(self):
        self.problems, self.runs, self.lines, self.ends, self.undone = [], 0, 0, 0, 0

    def fail(self, name, text):
        self.problems.append(f"{name}: {text}")

    def unit(self, directory, unit, kind, name):
        try:
            with open(f"{directory}/state/volumes/{name}/_data/n", encoding="ascii") as f:
                count = int(f.read())
        except FileNotFoundError:
            count = 0
        runs, odd = runs_of(log_lines(directory, name))
        for line in odd[:3]:
            self.fail(name, f"a line that nobody wrote: {line!r}")
        self.order(name, runs, count)
        for run, (numbers, end) in runs.items():
            self.run_lines(unit, kind, name, run, numbers, end)
        if kind != "steady":
            self.ends_of(directory, unit, name, runs, count)

    def order(self, name, runs, count):
        if list(runs) != sorted(runs):
            self.fail(name, f"runs out of order: {list(runs)}")
        missing = sorted(set(range(1, count + 1)) - set(runs))
        if missing:
            self.fail(name, f"no line of runs {missing} of {count}")
        self.runs += count

    def run_lines(self, unit, kind, name, run, numbers, end):
        self.lines += len(numbers) + len(end)
        if numbers != list(range(1, len(numbers) + 1)):
            twice = [n for n, c in collections.Counter(numbers).items() if c > 1]
            gone = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
            self.fail(name, f"run {run}: lines twice {twice[:5]}, missing {gone[:5]}, of {len(numbers)}")
        if kind == "steady":
            return
        if len(end) != 1:
            self.fail(name, f"run {run}: ends {end} after {len(numbers)} lines")
        elif end == ["end"] and len(numbers) != lines(unit, run):
            self.fail(name, f"run {run}: {len(numbers)} lines of {lines(unit, run)}")

    @staticmethod
    def wanted(unit, run, runs):
        """The status that this run must have ended with, as ExecStopPost= wrote it."""
        return str(STOPPED if runs.get(run, ([], []))[1] == ["stopped"] else status(unit, run))

    def ends_of(self, directory, unit, name, runs, count):
        """ExecStopPost= wrote one record for each start. Without a status it was undone before there was a process; a stop
        that comes before execve can only be SIGKILL. Neither is a run: that is what the program itself has counted."""
        try:
            with open(f"{directory}/ends/{name}", encoding="ascii") as f:
                records = [line.split() for line in f]
        except FileNotFoundError:
            records = []
        ran = [r for r in records if len(r) == 3 and r[1] == "exited"]
        self.undone += len(records) - len(ran)
        self.ends += len(ran)
        if name.startswith("loop") and any(len(r) == 3 and r[1] != "exited" for r in records[:-1]):
            self.fail(name, f"killed while nobody stopped it: {[' '.join(r) for r in records]}")
        if len(ran) != count:
            lost = next((run for run, (_, _, number) in enumerate(ran, 1) if number != self.wanted(unit, run, runs)), count)
            self.fail(name, f"{count} runs and {len(ran)} ends, that of run {lost} is missing: "
                      f"{[' '.join(r) for r in records if r[1:2] != ['exited']]}")
            return
        for run, (_, _, number) in enumerate(ran, 1):
            if number != self.wanted(unit, run, runs):
                self.fail(name, f"run {run}: ended with {number}, not {self.wanted(unit, run, runs)}")


def run(options):
    units = kinds(options.containers)
    random.seed(options.seed)
    davit("start", "--no-block", *[name for _, _, name in units])
    steady = [name for _, kind, name in units if kind == "steady"]
    before = all_running(steady)

    clients = Clients(davit, options.directory, steady[:options.clients])
    killed, seconds = storm(options, units)
    clients.finish()
    if options.replace:
        replace_all(options)
    after = settle(units)
    check = Check()
    for name in steady:
        if after[name]["state"] != "running" or after[name].get("pid") != before[name].get("pid"):
            check.fail(name, f"was pid {before[name].get('pid')}, is {after[name]['state']} pid {after[name].get('pid')}")
        if after[name]["restarts"]:
            check.fail(name, f"{after[name]['restarts']} restarts")
    davit("stop", *steady)
    time.sleep(1)
    for unit, kind, name in units:
        check.unit(options.directory, unit, kind, name)

    for name, problem in clients.problems():
        check.fail(name, problem)
    went_on = times_replaced(options.directory)
    if options.replace and not went_on:
        check.fail("davit-init", "was never replaced")
    print(f"soak: {seconds:.0f} s, killed {', '.join(f'{killed[p]} {p}' for p in PARTS)}; {killed['replaced']} times all asked to be "
          f"replaced, davit-init was {went_on} times; {len(units)} containers, seed {options.seed}")
    print(f"      {check.runs} runs, {check.ends} ends with the right status, {check.undone} starts undone, "
          f"{check.lines} lines each once, {len(steady)} undisturbed, "
          f"{clients.commands()} commands of clients")
    for problem in check.problems[:40]:
        print("  ! " + problem)
    print("soak: passed" if not check.problems else f"soak: {len(check.problems)} problems")
    return 1 if check.problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("units", "run"))
    parser.add_argument("directory")
    parser.add_argument("--init", type=int)
    parser.add_argument("--kills", type=int, default=300, help="of davitd")
    parser.add_argument("--logd", type=int, default=30, help="kills of davit-logd")
    parser.add_argument("--launch", type=int, default=30, help="kills of davit-launch")
    parser.add_argument("--replace", type=int, default=10, help="times all programs are replaced in place")
    parser.add_argument("--programs", nargs=3, metavar=("LINK", "BUILD", "OTHER"), help="the link leads to them in turn")
    parser.add_argument("--life", type=float, default=0.03, help="seconds that a davitd lives, on the average")
    parser.add_argument("--containers", type=int, default=30)
    parser.add_argument("--clients", type=int, default=2, help="who run and execute things meanwhile")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000000))
    options = parser.parse_args()
    if options.what == "units":
        write_units(options.directory, options.containers)
        return 0
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
