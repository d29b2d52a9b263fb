#!/usr/bin/env python3
"""Makes an OCI layout with images that share a layer, for image-shared.bats.

The shared layer has data/deep/file and describes neither of the two directories. first: over a base where they are private;
second: over one where they are public and have attributes of all kinds; both: over both; alone: over nothing; anew: over the
first and a layer that has removed them; twice: shared, second base, shared.
"""
import hashlib
import io
import json
import os
import sys
import tarfile

root = sys.argv[1]
blobs = os.path.join(root, "blobs", "sha256")
os.makedirs(blobs)
MEDIA = "application/vnd.oci.image."


def put(data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(blobs, digest), "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def layer(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, mode, owner, time, xattrs in entries:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode, info.uid, info.gid, info.mtime = mode, owner, owner + 1, time
            info.pax_headers = {"SCHILY.xattr." + k: v for k, v in xattrs.items()}
            t.addfile(info)
    return put(out.getvalue())


first = layer(("./", 0o711, 1, 900000000, {}), ("data/", 0o700, 10, 1000000000, {}),
              ("data/deep/", 0o750, 11, 1000000001, {"user.first": "1"}), ("data/of-base", 0o600, 10, 1, {}))
second = layer(("./", 0o755, 0, 900000000, {}), ("data/", 0o1777, 20, 1100000000, {"user.base": "second"}),
               ("data/deep/", 0o2775, 21, 1100000001, {}), ("data/of-base", 0o644, 20, 2, {}))
shared = layer(("data/deep/file", 0o644, 0, 3, {}))
removed = layer(("data/.wh..wh..opq", 0o644, 0, 0, {}))
gone = layer((".wh.data", 0o644, 0, 0, {}))


def image(tag, *layers):
    config = {"architecture": {"aarch64": "arm64"}.get(os.uname().machine, "amd64"), "os": "linux", "config": {"Labels": {"is": tag}},
              "rootfs": {"type": "layers", "diff_ids": [x["digest"] for x in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
                "config": {"mediaType": MEDIA + "config.v1+json", **put(json.dumps(config).encode())},
                "layers": [{"mediaType": MEDIA + "layer.v1.tar", **x} for x in layers]}
    return {"mediaType": MEDIA + "manifest.v1+json", **put(json.dumps(manifest).encode()),
            "annotations": {"org.opencontainers.image.ref.name": tag}}


manifests = [image("first", first, shared), image("second", second, shared), image("both", first, second, shared),
             image("alone", shared), image("anew", first, gone, shared), image("twice", shared, second, shared),
             image("opaque", second, removed, shared)]
with open(os.path.join(root, "index.json"), "w", encoding="ascii") as f:
    json.dump({"schemaVersion": 2, "manifests": manifests}, f)
with open(os.path.join(root, "oci-layout"), "w", encoding="ascii") as f:
    json.dump({"imageLayoutVersion": "1.0.0"}, f)
