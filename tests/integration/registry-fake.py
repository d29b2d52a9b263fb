#!/usr/bin/env python3
"""Registries that misbehave, and a proxy that can be held.

registry-fake.py PORT-FILE REQUEST-LOG [--port N] --proxy PORT [--gate FILE]
registry-fake.py PORT-FILE REQUEST-LOG --layout DIRECTORY

As a proxy it passes requests on to the registry at PORT; while FILE exists, blobs larger than 1 MiB wait. With a layout, its image
"web" is served under many names, each with a fault of its own: see FAULTS.
"""
import argparse
import http.client
import json
import os
import sys
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


def write_port(server):
    with open(options.port_file + "~", "w", encoding="ascii") as f:
        f.write(str(server.server_port))
    os.rename(options.port_file + "~", options.port_file)


def main(handler):
    open(options.log, "a", encoding="ascii").close()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    server.daemon_threads = True
    write_port(server)
    server.serve_forever()


if options.proxy:
    main(Proxy)
