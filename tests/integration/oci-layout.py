#!/usr/bin/env python3
"""Makes an OCI layout with small images, for the tests of fetching.

oci-layout.py DIRECTORY BUSYBOX [LAYERS...]

Tags: web (one layer with busybox, one with a file), other (shares the first layer with web), multi (an index for amd64, arm64
and arm/v7, each with a file /platform), big (a layer of 4 MiB that does not compress), defaults (an image with a configuration
that says everything an image can say). For each number of LAYERS a tag of that name: layer N of it has a file /layers/N, and
/top with N in it.
"""
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

root, busybox = sys.argv[1], sys.argv[2]
blobs = os.path.join(root, "blobs", "sha256")
os.makedirs(blobs)


def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(blobs, digest), "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def tar(files):
    """files: name to bytes, None for a directory, or ("link", target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[1]
            else:
                info.size = len(content)
            t.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def layer(files):
    data = tar(files)
    return {"diff_id": "sha256:" + hashlib.sha256(data).hexdigest(),
            "descriptor": {"mediaType": LAYER, **put(gzip.compress(data, 1, mtime=0))}}


def image(layers, config=None, architecture="amd64", variant=None):
    document = {"architecture": architecture, "os": "linux", "config": config or {"Cmd": ["/bin/sh"]},
                "rootfs": {"type": "layers", "diff_ids": [x["diff_id"] for x in layers]}}
    if variant:
        document["variant"] = variant
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, **put(json.dumps(document).encode())},
                "layers": [x["descriptor"] for x in layers]}
    platform = {"architecture": architecture, "os": "linux"}
    if variant:
        platform["variant"] = variant
    return {"mediaType": MANIFEST, **put(json.dumps(manifest).encode()), "platform": platform}


programs = ["sh", "cat", "sleep", "echo", "env", "id", "pwd", "ls", "true", "stat", "grep", "mkdir", "touch", "readlink", "tr"]
base = {"bin": None, "etc": None, "tmp": None, "proc": None, "sys": None, "dev": None, "run": None,
        "bin/busybox": open(busybox, "rb").read(),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/tmp:/bin/sh\n",
        "etc/group": b"root:x:0:\nwww:x:33:\naudio:x:29:\n"}
base.update({"bin/" + p: ("link", "busybox") for p in programs})
common = layer(base)
machine = {"x86_64": ("amd64", None), "aarch64": ("arm64", "v8"), "armv7l": ("arm", "v7")}.get(os.uname().machine, ("amd64", None))

tags = {
    "web": image([common, layer({"web": b"web\n"})], architecture=machine[0], variant=machine[1]),
    "other": image([common, layer({"other": b"other\n"})], architecture=machine[0], variant=machine[1]),
    "big": image([common, layer({"noise": random.Random(1).randbytes(4 << 20)})], architecture=machine[0], variant=machine[1]),
    "defaults": image([common, layer({"data": None, "data/from-image": b"kept\n"})], {
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["echo image; pwd; id -un; id -gn; env; cat /data/from-image; exec sleep 1000"],
        "Env": ["FROM=image", "PATH=/bin"], "WorkingDir": "/made/by/image", "User": "www:audio", "StopSignal": "SIGUSR1",
        "Volumes": {"/data": {}}, "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "/bin/true"], "Interval": 30000000000}}, machine[0], machine[1]),
}
for n in sys.argv[3:]:
    tags[n] = image([common] + [layer({"layers": None, "layers/" + str(i): b"", "top": str(i).encode()})
                                for i in range(2, int(n) + 1)], architecture=machine[0], variant=machine[1])
index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
    image([common, layer({"platform": name.encode()})], architecture=name.split("/")[0],
          variant=name.split("/")[1] if "/" in name else None)
    for name in ("arm64/v8", "amd64", "arm/v7")]}
tags["multi"] = {"mediaType": INDEX, **put(json.dumps(index).encode())}

with open(os.path.join(root, "oci-layout"), "w", encoding="ascii") as f:
    json.dump({"imageLayoutVersion": "1.0.0"}, f)
with open(os.path.join(root, "index.json"), "w", encoding="ascii") as f:
    json.dump({"schemaVersion": 2, "manifests": [
        {**d, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag, d in tags.items()]}, f)
