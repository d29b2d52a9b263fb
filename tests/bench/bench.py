# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measuring side of `make bench`: talks Varlink to a davit that tests/bench/run has started, and runs the floor in
turns with it, in many short rounds, so that both see the same machine. Prints one table; ratios count, not absolute
figures, and each is the median of the rounds' ratios.

    bench.py BUILD DIRECTORY         everything
    bench.py BUILD DIRECTORY peers   only crun and podman; one JSON object. Run by the above in a mount namespace"""
import json, os, socket, statistics, subprocess, sys, time

BUILD, DIR, ROUNDS = sys.argv[1], sys.argv[2], int(os.environ.get("BENCH_ROUNDS", "7"))
ROOTFS = f"{DIR}/state/images/busybox"
# Beside those of davit's own: a file system's state counts, ext4's memory of freed inodes above all.
FLOOR_DIR = f"{DIR}/state/containers/floor"


class Varlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(f"{DIR}/run/control")
        self.buffer = b""

    def send(self, method, more=False, **parameters):
        call = {"method": f"io.davit.{method}", "parameters": parameters}
        if more:
            call["more"] = True
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                raise SystemExit("bench: davitd closed the connection")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        reply = json.loads(text)
        if "error" in reply:
            raise SystemExit(f"bench: {reply}")
        return reply["parameters"]

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()


def median(values):
    return statistics.median(values)


def micro(function):
    begin = time.perf_counter()
    function()
    return (time.perf_counter() - begin) * 1e6


def floor(*words):
    out = subprocess.run([f"{BUILD}/tests/bench/floor", ROOTFS, FLOOR_DIR, f"{os.environ['DAVIT_NAME']}-floor", *map(str, words)],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def davit_start(v, n):
    """Request sent to answer "it runs" (execve confirmed), and to everything gone after the program has ended."""
    start, total = [], []
    for _ in range(n):
        start.append(micro(lambda: v.call("Unit.Start", unit="bench-sleep.container")))
        v.call("Unit.Kill", unit="bench-sleep.container", signal=9)
        v.call("Unit.Stop", unit="bench-sleep.container")
        time.sleep(0.002)
        total.append(micro(lambda: v.call("Unit.Start", unit="bench-true.container")))
        time.sleep(0.002)
    return median(start), median(total)


def davit_parallel(v, n):
    begin = time.perf_counter()
    for i in range(n):
        v.send("Unit.Start", unit=f"bench-many@{i}.container")
    for i in range(n):
        v.receive()
    return n / (time.perf_counter() - begin)


def davit_restart(v, n):
    """SIGKILL to the event that says: running again."""
    events = Varlink()
    events.send("Events.Subscribe", more=True)
    events.receive()
    v.call("Unit.Start", unit="bench-restart.container")
    out = []
    for _ in range(n):
        time.sleep(0.02)
        pid = v.call("Unit.Describe", unit="bench-restart.container")["unit"]["pid"]
        while True:  # what is still queued is of the past
            events.socket.setblocking(False)
            try:
                if not events.socket.recv(1 << 16):
                    break
            except BlockingIOError:
                break
        events.buffer = b""
        events.socket.setblocking(True)
        begin = time.perf_counter()
        os.kill(pid, 9)
        while True:
            e = events.receive()["event"]
            if e.get("unit") == "bench-restart.container" and e.get("new") == "running":
                break
        out.append((time.perf_counter() - begin) * 1e6)
    v.call("Unit.Stop", unit="bench-restart.container")
    return median(out)


def davit_lines(v, n):
    begin = time.perf_counter()
    v.call("Unit.Start", unit="bench-lines.container")
    log = f"{DIR}/log/bench-lines.container.log"
    last = f"line {n}\n".encode()
    while True:
        try:
            with open(log, "rb") as f:
                f.seek(max(0, os.stat(log).st_size - 4096))
                if f.read().endswith(last):
                    break
        except OSError:
            pass
        time.sleep(0.005)
    return n / (time.perf_counter() - begin)


def peer_crun(n):
    bundle = f"{DIR}/bundle"
    if not os.path.exists(bundle):
        os.makedirs(bundle)
        subprocess.run(["crun", "spec"], cwd=bundle, check=True)
        config = json.load(open(f"{bundle}/config.json"))
        config["process"]["args"], config["process"]["terminal"] = ["/bin/true"], False
        config["root"] = {"path": ROOTFS, "readonly": True}
        json.dump(config, open(f"{bundle}/config.json", "w"))
    return median([micro(lambda i=i: subprocess.run(
        ["crun", "--cgroup-manager=cgroupfs", f"--root={DIR}/crun", "run", f"--bundle={bundle}", f"davit-bench-{os.getpid()}-{i}"],
        check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)) for i in range(n)])


def peer_podman(n):
    command = ["podman", f"--root={DIR}/podman", f"--runroot={DIR}/podman-run", "--cgroup-manager=cgroupfs", "run", "--rm",
        "--network=none", "--rootfs", f"{ROOTFS}:O", "/bin/true"]
    return median([micro(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL)) for _ in range(n)])


def peers_here():
    """What is installed, or why it cannot be measured. crun 1.8 refuses a hybrid machine, podman needs its crun: so the
    unified hierarchy is covered, in a mount namespace of our own, and they use v1."""
    if os.path.isdir("/sys/fs/cgroup/unified"):
        subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/fs/cgroup/unified"], check=True)
    found = {}
    for name, function, n in (("crun", peer_crun, 20), ("podman", peer_podman, 5)):
        try:
            found[name] = function(n)
        except FileNotFoundError:
            found[name] = "not installed"
        except subprocess.SubprocessError as e:
            found[name] = f"does not run here: {e}"
    print(json.dumps(found))


def peers():
    out = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, __file__, BUILD, DIR, "peers"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


FIGURES = (  # what, its key in the floor's answer, unit, aim; then how each side is measured in one round
    ("start to exec", "start_us", "us", "<= 1.15"),
    ("start to gone", "total_us", "us", ""),
    ("SIGKILL to running again", "restart_us", "us", "<= 1.30"),
    ("100 at once", "per_second", "/s", ">= 0.85"),
)


def one_round(v):
    f, d = floor("start", 30), {}
    d["start_us"], d["total_us"] = davit_start(v, 30)
    f |= floor("restart", 15)
    d["restart_us"] = davit_restart(v, 15)
    f |= floor("parallel", 100, 8)
    d["per_second"] = davit_parallel(v, 100)
    return f, d


def main():
    v = Varlink()
    davit_parallel(v, 100)  # as at a second boot: the units are loaded and have their ranges of ids
    os.mkdir(FLOOR_DIR)
    rounds = [one_round(v) for _ in range(ROUNDS)]
    print(f"{'':34} {'floor':>10} {'davit':>10}      {'ratio':>8}   aim")
    for what, key, unit, aim in FIGURES:
        f, d = median([f[key] for f, _ in rounds]), median([d[key] for _, d in rounds])
        print(f"{what:34} {f:10.0f} {d:10.0f} {unit:4} {median([d[key] / f[key] for f, d in rounds]):8.2f}   {aim}")
    total = median([f["total_us"] for f, _ in rounds])
    for peer, value in peers().items():
        if isinstance(value, str):
            print(f"{'start to gone, ' + peer:34} {value}")
        else:
            print(f"{'start to gone, ' + peer:34} {total:10.0f} {value:10.0f} us   {value / total:8.2f}")
    print(f"{'log lines':34} {'':10} {davit_lines(v, 200000):10.0f} /s")
    print(f"{'status of one unit':34} {'':10} {median([micro(lambda: v.call('Unit.Describe', unit='bench-sleep')) for _ in range(50)]):10.0f} us")


peers_here() if sys.argv[3:] == ["peers"] else main()
