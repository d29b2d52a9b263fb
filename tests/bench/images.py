#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image part of `make bench`: bringing in one image of many layers, beside what has to be done at least and beside others'
tools, in turns. Ratios count: each is the median of the rounds' ratios, and less than 1 means that davit is faster.

    images.py BUILD DIRECTORY      BENCH_IMAGE_MIB (256), BENCH_IMAGE_LAYERS (20), BENCH_IMAGE_ROUNDS (3)

"tar" is what nobody can do without: each layer through sha256sum and through tar x, compressed ones through gzip -d and through
sha256sum again, and all of it on the disk at the end. A third of the data does not compress, a third is small files."""
import gzip, hashlib, io, json, os, random, shutil, statistics, subprocess, sys, tarfile, time

BUILD, DIR = sys.argv[1:3]
MIB = int(os.environ.get("BENCH_IMAGE_MIB", "256"))
LAYERS = int(os.environ.get("BENCH_IMAGE_LAYERS", "20"))
ROUNDS = int(os.environ.get("BENCH_IMAGE_ROUNDS", "3"))
MEDIA = "application/vnd.oci.image."


def text(chance, size):
    """Words, as programs and their data have them: gzip makes a third of it."""
    words = [f"{chance.getrandbits(40):x}" for _ in range(400)]
    return " ".join(chance.choices(words, k=size // 9 + 1)).encode()[:size]


def layer(n, size):
    chance, out = random.Random(n), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        def add(name, data, kind=tarfile.REGTYPE):
            i = tarfile.TarInfo(name)
            i.type, i.size, i.mode, i.mtime = kind, len(data), 0o755, 1700000000
            t.addfile(i, io.BytesIO(data))
        if n == 0:
            add("bin", b"", tarfile.DIRTYPE)
            add("bin/busybox", open(shutil.which("busybox"), "rb").read())
        add(f"layer{n}", b"", tarfile.DIRTYPE)
        add(f"layer{n}/noise", chance.randbytes(size // 3))
        add(f"layer{n}/text", text(chance, size // 3))
        left, k = size // 3, 0
        while left > 0:
            if k % 50 == 0:
                add(f"layer{n}/d{k // 50}", b"", tarfile.DIRTYPE)
            part = min(left, chance.choice((300, 2000, 6000, 12000, 40000)))
            add(f"layer{n}/d{k // 50}/file{k}", text(chance, part))
            left, k = left - part, k + 1
    return out.getvalue()


def put(layout, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{layout}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def make_layouts():
    """The same image twice: layers as they are, and compressed."""
    names = {"plain": [], "gzip": []}
    for kind in names:
        os.makedirs(f"{DIR}/{kind}/blobs/sha256")
    ids = []
    for n in range(LAYERS):
        data = layer(n, MIB * 1024 * 1024 // LAYERS)
        ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        names["plain"].append({"mediaType": MEDIA + "layer.v1.tar", **put(f"{DIR}/plain", data)})
        names["gzip"].append({"mediaType": MEDIA + "layer.v1.tar+gzip", **put(f"{DIR}/gzip", gzip.compress(data, 6, mtime=0))})
    config = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "sleep", "1000"]}, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
    for kind, layers in names.items():
        layout = f"{DIR}/{kind}"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
            "config": {"mediaType": MEDIA + "config.v1+json", **put(layout, config)}, "layers": layers}).encode()
        index = {"schemaVersion": 2, "manifests": [{"mediaType": MEDIA + "manifest.v1+json", **put(layout, manifest),
            "annotations": {"org.opencontainers.image.ref.name": "bench"}}]}
        json.dump(index, open(f"{layout}/index.json", "w"))
        json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{layout}/oci-layout", "w"))
    return {kind: [f"{DIR}/{kind}/blobs/sha256/{x['digest'][7:]}" for x in layers] for kind, layers in names.items()}


def seconds(*commands):
    """All of them one after the other, and the largest of their processes in KiB."""
    begin, memory = time.perf_counter(), 0
    for command in commands:
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = status
        if status != 0:
            raise subprocess.CalledProcessError(status, command, stderr=said)
        memory = max(memory, usage.ru_maxrss)
    return time.perf_counter() - begin, memory


def fresh(name):
    """A new directory, on the same disk, with nothing left to be written by what went before."""
    path = f"{DIR}/work-{name}"
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    os.sync()
    return path


def davit(kind, _):
    return seconds([f"{BUILD}/davit-image", "import", f"--store={fresh('davit')}/images", "--name=bench", f"{DIR}/{kind}"])


def tar(kind, layers):
    into = fresh("tar")
    if kind == "plain":
        work = [["sha256sum", x] for x in layers] + [["tar", "-C", into, "-xf", x] for x in layers]
    else:
        work = [["sha256sum", x] for x in layers]
        work += [["bash", "-c", 'set -o pipefail; gzip -dc "$1" | tee >(sha256sum >/dev/null) | tar -C "$2" -x', "-", x, into] for x in layers]
    return seconds(*work, ["sync", "-f", into])


def skopeo_umoci(kind, _):
    into = fresh("umoci")
    return seconds(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{DIR}/{kind}:bench", f"oci:{into}/copy:bench"],
        ["umoci", "unpack", "--image", f"{into}/copy:bench", f"{into}/bundle"], ["sync", "-f", into])


def podman(kind, _):
    into = fresh("podman")
    archive = f"{DIR}/{kind}.tar"
    if not os.path.exists(archive):
        subprocess.run(["tar", "-C", f"{DIR}/{kind}", "-cf", archive, "."], check=True)
    return seconds(["podman", f"--root={into}/root", f"--runroot={into}/run", "--storage-driver=overlay", "load", "-q", "-i", archive],
        ["sync", "-f", into])


OTHERS = (("tar x and sha256sum", tar, ()), ("skopeo copy, umoci unpack", skopeo_umoci, ("skopeo", "umoci")), ("podman load", podman, ("podman",)))


def measure_import(layers):
    memory = 0
    for kind in layers:
        ratios, ours, theirs, missing = {}, [], {}, {}
        for _ in range(ROUNDS):
            s, m = davit(kind, None)
            ours.append(s)
            memory = max(memory, m)
            for what, run, needs in OTHERS:
                if what in missing or not all(map(shutil.which, needs)):
                    missing.setdefault(what, "not installed: apt-get install " + " ".join(needs))
                    continue
                try:
                    t, _ = run(kind, layers[kind])
                except subprocess.CalledProcessError as e:
                    missing[what] = f"does not run here: {e.stderr.decode(errors='replace').strip()[-100:]}"
                    continue
                theirs.setdefault(what, []).append(t)
                ratios.setdefault(what, []).append(s / t)
        for what, _, _ in OTHERS:
            label = f"import, {kind}: {what}"
            if what in missing:
                print(f"{label:44} {missing[what]}")
            else:
                aim = "<= 1.00" if what.startswith("tar") else ""
                print(f"{label:44} {statistics.median(theirs[what]):8.2f} {statistics.median(ours):8.2f} s {statistics.median(ratios[what]):8.2f}   {aim}")
    print(f"{'memory of the worker, at most':44} {'':8} {memory:8d} KiB          <= 32768")


def used(path):
    return int(subprocess.run(["du", "-sk", path], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0])


def floor_start(layers):
    out = subprocess.run([f"{BUILD}/tests/bench/floor", layers, f"{os.environ['DAVIT_STATE_DIR']}/containers/floor",
                          f"{os.environ['DAVIT_NAME']}-floor", "start", "3"], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)["start_us"]


def measure_containers():
    """Of an image with many layers: what the second container adds, and how long its start takes beside one of a plain
    directory; what the layers add to a start, of the kernel's floor and of davit."""
    def cli(*words):
        begin = time.perf_counter()
        subprocess.run([f"{BUILD}/davit", *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin
    def end(unit):
        cli("kill", "--signal", "KILL", unit)
        cli("stop", unit)
    state = os.environ["DAVIT_STATE_DIR"]
    plain = f"{state}/images/busybox"
    cli("image", "import", f"{DIR}/plain", "bench")
    for unit, image in (("image-1", "localhost/bench"), ("image-2", "localhost/bench"), ("plain-1", "busybox"), ("plain-2", "busybox")):
        with open(f"{os.environ['DAVIT_UNIT_PATH']}/{unit}.container", "w") as f:
            f.write(f"[Container]\nImage={image}\nExec=/bin/busybox sleep 1000\n[Service]\nTimeoutStopSec=1s\n")
    cli("daemon-reload")
    cli("start", "image-1")
    cli("start", "plain-1")
    before = used(state)
    cli("start", "image-2")
    added = used(state) - before
    end("image-2")
    image = json.loads(subprocess.run([f"{BUILD}/davit", "inspect", "image-1"], check=True, stdout=subprocess.PIPE).stdout)
    lower = image[0]["GraphDriver"]["Data"]["LowerDir"]
    ratios, theirs, ours = [], [], []
    for _ in range(20):
        took = {}
        for unit in ("image-2", "plain-2"):
            time.sleep(0.05)  # what ended last still keeps the kernel busy
            took[unit] = cli("start", unit)
            end(unit)
        ratios.append(took["image-2"] / took["plain-2"])
        ours.append((took["image-2"] - took["plain-2"]) * 1e6)
        theirs.append(floor_start(f"{plain}:{lower}") - floor_start(plain))
    print(f"{'second container: disk that it adds':44} {'':8} {added:8d} KiB")
    print(f"{f'second container: {LAYERS} layers beside one':44} {'':8} {'':8}   {statistics.median(ratios):8.2f}")
    a, b = statistics.median(theirs), statistics.median(ours)
    print(f"{f'{LAYERS} layers more at start: the floor':44} {a:8.0f} {b:8.0f} us {b / a:7.2f}")


def main():
    # By a process of its own: what this one has is counted as the memory of those that it starts.
    if sys.argv[3:] == ["make"]:
        print(json.dumps(make_layouts()))
        return
    layers = json.loads(subprocess.run([sys.executable, *sys.argv, "make"], check=True, stdout=subprocess.PIPE).stdout)
    print(f"\nan image of {MIB} MiB in {LAYERS} layers{'':14} {'others':>8} {'davit':>8}   {'ratio':>8}   aim")
    measure_import(layers)
    measure_containers()


main()
