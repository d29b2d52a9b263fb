# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measuring side of `make bench`: talks Varlink to a davit that tests/bench/run has started, and runs the floor and
the peers in turns with it, so that all see the same machine. Prints one table; ratios count, not absolute figures."""
import json, os, socket, statistics, subprocess, sys, time

BUILD, DIR, ROUNDS = sys.argv[1], sys.argv[2], int(os.environ.get("BENCH_ROUNDS", "3"))
ROOTFS = f"{DIR}/state/images/busybox"


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
    out = subprocess.run([f"{BUILD}/tests/bench/floor", ROOTFS, f"{DIR}/floor", f"davit-floor-{os.getpid()}", *map(str, words)],
        check=True, capture_output=True, text=True).stdout
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


def tried(function, *arguments):
    try:
        return function(*arguments)
    except (OSError, subprocess.SubprocessError):
        return None


def main():
    v = Varlink()
    rows = {}

    def note(name, value):
        if value is not None:
            rows.setdefault(name, []).append(value)

    davit_parallel(v, 100)  # as at a second boot: the units are loaded and have their ranges of ids
    for _ in range(ROUNDS):
        f = floor("start", 60)
        s, t = davit_start(v, 60)
        note("floor start", f["start_us"]), note("davit start", s)
        note("floor total", f["total_us"]), note("davit total", t)
        note("floor restart", floor("restart", 30)["restart_us"]), note("davit restart", davit_restart(v, 30))
        note("floor parallel", floor("parallel", 100, 8)["per_second"]), note("davit parallel", davit_parallel(v, 100))
        note("crun", tried(peer_crun, 20)), note("podman", tried(peer_podman, 5))
    value = {k: median(x) for k, x in rows.items()}

    def line(what, floor_key, davit_key, unit, aim):
        f, d = value[floor_key], value[davit_key]
        print(f"{what:34} {f:10.0f} {d:10.0f} {unit:4} {d / f:8.2f}   {aim}")

    print(f"{'':34} {'floor':>10} {'davit':>10}      {'ratio':>8}   aim")
    line("start to exec", "floor start", "davit start", "us", "<= 1.15")
    line("start to gone", "floor total", "davit total", "us", "")
    line("SIGKILL to running again", "floor restart", "davit restart", "us", "<= 1.30")
    line("100 at once", "floor parallel", "davit parallel", "/s", ">= 0.85")
    for peer in ("crun", "podman"):
        if peer in value:
            print(f"{'start to gone, ' + peer:34} {value['floor total']:10.0f} {value[peer]:10.0f} us   "
                f"{value[peer] / value['floor total']:8.2f}   (davit {value['davit total'] / value['floor total']:.2f})")
    print(f"{'log lines':34} {'':10} {davit_lines(v, 200000):10.0f} /s")
    print(f"{'status of one unit':34} {'':10} {median([micro(lambda: v.call('Unit.Describe', unit='bench-sleep')) for _ in range(50)]):10.0f} us")


main()
