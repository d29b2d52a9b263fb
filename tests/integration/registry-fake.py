#!/usr/bin/env python3
"""Registries that misbehave, and a proxy that can be held.

registry-fake.py PORT-FILE REQUEST-LOG [--port N] --proxy PORT [--gate FILE]
registry-fake.py PORT-FILE REQUEST-LOG --layout DIRECTORY [--gate FILE]

As a proxy it passes requests on to the registry at PORT; while FILE exists, blobs larger than 1 MiB wait. With a layout, its image
"web" (or "big") is served under many names, each with a fault of its own; of those that are held, a large blob stops in its middle
while FILE exists.
"""
import argparse
import hashlib
import http.client
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("port_file")
parser.add_argument("log")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--proxy", type=int)
parser.add_argument("--gate")
parser.add_argument("--layout")
options = parser.parse_args()
lock = threading.Lock()
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def blob(digest):
    with open(os.path.join(options.layout, "blobs", "sha256", digest.split(":")[1]), "rb") as f:
        return f.read()


class Base(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        with lock, open(options.log, "a", encoding="utf-8") as f:
            f.write(f"{self.command} {self.headers.get('Host')}{self.path} range={self.headers.get('Range')} "
                    f"authorization={self.headers.get('Authorization')}\n")

    def answer(self, status, data=b"", headers=None):
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), **(headers or {})}
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Proxy(Base):
    def do_GET(self):
        self.note()
        upstream = http.client.HTTPConnection("127.0.0.1", options.proxy)
        headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
        upstream.request("GET", self.path, headers={**headers, "Host": f"127.0.0.1:{options.proxy}"})
        r = upstream.getresponse()
        data = r.read()
        while options.gate and os.path.exists(options.gate) and len(data) > 1 << 20:
            time.sleep(0.05)
        kept = ("Content-Type", "Docker-Content-Digest", "Content-Range", "WWW-Authenticate")
        self.answer(r.status, data, {k: r.headers[k] for k in kept if k in r.headers})


# ---- faults ----


def changed(data):
    return data[:-1] + bytes([data[-1] ^ 1])


NO_TAR = b"no archive" * 1000
INNER = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()


def manifest_of(case):
    """The manifest that a case serves for its only tag."""
    index = json.load(open(os.path.join(options.layout, "index.json"), encoding="ascii"))
    tag = "big" if case.startswith(("cut", "wrong-range", "held")) else "web"
    digest = [m["digest"] for m in index["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == tag][0]
    manifest = json.loads(blob(digest))
    layer = manifest["layers"][-1]
    if case == "foreign":
        layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        layer["urls"] = [f"http://127.0.0.1:{port}/v2/elsewhere"]
    elif case == "unknown-type":
        layer["mediaType"] = "application/vnd.oci.image.layer.v9"
    elif case == "larger":
        layer["size"] -= 1
    elif case == "smaller":
        layer["size"] += 1000
    elif case == "huge-layer":
        layer["size"] = 1 << 60
    elif case == "huge-config":
        manifest["config"]["size"] = 1 << 40
    elif case == "many-layers":
        manifest["layers"] = [layer] * 501
    elif case == "no-digest":
        layer["digest"] = "sha256:../../../../etc/passwd"
    elif case == "index-of-index":
        manifest = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": INDEX, "digest": "sha256:" + hashlib.sha256(INNER).hexdigest(), "size": len(INNER)}]}
    elif case == "held-no-tar":
        manifest["layers"][0].update(digest="sha256:" + hashlib.sha256(NO_TAR).hexdigest(), size=len(NO_TAR))
    elif case == "two-kinds":
        manifest["manifests"] = [{"mediaType": MANIFEST, "digest": digest, "size": 10}]
    return json.dumps(manifest).encode()


class Hostile(Base):
    tries = {}

    def nth(self, key):
        with lock:
            self.tries[key] = self.tries.get(key, 0) + 1
            return self.tries[key]

    def do_POST(self):
        self.do_GET()

    def do_GET(self):
        self.note()
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:1] == ["token"]:
            self.token(parts[1])
        elif len(parts) == 4 and parts[2] == "manifests":
            self.manifest(parts[1], parts[3])
        elif len(parts) == 4 and parts[2] == "blobs":
            self.blob(parts[1], parts[3])
        elif parts[1:] and parts[1] == "moved":
            self.answer(200, blob(parts[2]))
        elif parts[-2:] == ["tags", "list"]:
            self.tags(parts[1])
        else:
            self.answer(404)

    def token(self, case):
        answers = {"token-none": b"{}", "token-line": b'{"token": "a\\r\\nX-Evil: 1"}', "token-text": b"<html>",
                   "token-huge": b'{"token": "' + b"a" * 300000 + b'"}'}
        self.answer(200, answers.get(case, b'{"token": "good", "expires_in": 300}'), {"Content-Type": "application/json"})

    def tags(self, case):
        if case == "tags-away":
            self.answer(200, b'{"name": "x", "tags": ["1"]}', {"Link": f'<http://localhost:{port}/v2/leak/tags/list>; rel="next"'})
        elif case == "tags-endless":
            self.answer(200, json.dumps({"tags": [f"t{i}" for i in range(1000)]}).encode(),
                        {"Link": f'<{self.path}>; rel="next"'})
        else:
            self.answer(200, b'{"tags": ["../../x"]}')

    def manifest(self, case, digest):
        n = self.nth((case, "manifest"))
        challenge = {"no-challenge": None, "odd-challenge": "Bearer", "file-realm": 'Bearer realm="file:///etc/passwd"',
                     "basic": 'Basic realm="x"'}
        if case in challenge and not (case == "basic" and self.headers.get("Authorization")):
            self.answer(401, b"", {"WWW-Authenticate": challenge[case]})
        elif case.startswith("token-") and self.headers.get("Authorization") != "Bearer good":
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/token/{case}",service="s"'})
        elif case == "always-401":
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/token/x"'})
        elif case == "flaky" and n <= 2:
            self.answer((503, 429)[n - 1], b"", {"Retry-After": "0"})
        elif case == "down":
            self.answer(503)
        elif case == "index-of-index" and digest.startswith("sha256:"):
            self.answer(200, INNER, {"Content-Type": INDEX})
        elif case == "endless":
            self.endless()
        elif case == "loop":
            self.answer(307, b"", {"Location": self.path})
        elif case == "to-file":
            self.answer(302, b"", {"Location": "file:///etc/passwd"})
        elif case == "escapes":
            self.answer(404, json.dumps({"errors": [{"code": "X", "message": "\x1b[2Jgone\n<3>forged"}]}).encode())
        elif case == "not-json":
            self.answer(200, b"<html>", {"Content-Type": MANIFEST})
        elif case == "schema1":
            self.answer(200, b"{}", {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"})
        elif case == "lying-digest":
            self.answer(200, manifest_of(case), {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:" + "1" * 64})
        else:
            self.answer(200, manifest_of(case), {"Content-Type": MANIFEST})

    def endless(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        except OSError:
            self.close_connection = True

    def blob(self, case, digest):
        data = NO_TAR if digest == "sha256:" + hashlib.sha256(NO_TAR).hexdigest() else blob(digest)
        n = self.nth((case, digest))
        large = len(data) > 1 << 20
        if case == "wrong-blob":
            self.answer(200, changed(data))
        elif case in ("redirected", "basic", "token-redirected"):
            self.answer(307, b"", {"Location": f"http://localhost:{port}/v2/moved/{digest}"})
        elif case == "expired" and n == 1:
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/token/expired"'})
        elif case.startswith(("cut", "wrong-range")) and large:
            self.cut(case, data, n)
        elif case.startswith("held") and len(data) > 4 << 20:
            self.hold(case, data)
        else:
            self.answer(200, data)

    def cut(self, case, data, n):
        """The first answer ends in the middle; how the next one goes on is the case's affair."""
        asked = self.headers.get("Range")
        start = int(asked.split("=")[1].split("-")[0]) if asked else 0
        if n == 1:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        elif case == "cut" and asked:
            self.answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        elif case.startswith("wrong-range") and asked:
            self.answer(206, data, {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})
        else:
            self.answer(200, data)

    def hold(self, case, data):
        """The first half, and the other one when the gate is open; or none."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        while os.path.exists(options.gate):
            time.sleep(0.05)
        if case != "held-lost":
            self.wfile.write(data[len(data) // 2:])
        self.close_connection = True


port = 0


def write_port(server):
    global port
    port = server.server_port
    with open(options.port_file + "~", "w", encoding="ascii") as f:
        f.write(str(server.server_port))
    os.rename(options.port_file + "~", options.port_file)


def main(handler):
    open(options.log, "a", encoding="ascii").close()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    server.daemon_threads = True
    write_port(server)
    server.serve_forever()


main(Proxy if options.proxy else Hostile)
