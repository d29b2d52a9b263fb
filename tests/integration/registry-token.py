#!/usr/bin/env python3
"""A token server for docker-registry: registry-token.py PORT-FILE KEY CERTIFICATE LOG

Anybody may pull what lies below team/open; "user" with the password "secret" may pull everything. Anybody else gets a token that
allows nothing, as real ones do, and a wrong password a 401.
"""
import base64
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

port_file, key, certificate, log = sys.argv[1:5]


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims):
    pem = open(certificate, encoding="ascii").read()
    der = "".join(pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0].split())
    head = encode(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [der]}).encode())
    body = head + "." + encode(json.dumps(claims).encode())
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=body.encode(), stdout=subprocess.PIPE,
                               check=True).stdout
    return body + "." + encode(signature)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, document):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        query = parse_qs(urlparse(self.path).query)
        authorization = self.headers.get("Authorization")
        user = None
        if authorization:
            user, password = base64.b64decode(authorization.split()[1]).decode().split(":", 1)
            if (user, password) != ("user", "secret"):
                self.answer(401, {"details": "incorrect username or password"})
                return
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            if user or name.startswith("team/open"):
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
        with open(log, "a", encoding="utf-8") as f:
            f.write(f"{user} {query.get('scope')}\n")
        now = int(time.time())
        self.answer(200, {"token": token({
            "iss": "test issuer", "sub": user or "", "aud": query["service"][0], "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": str(now), "access": access}), "expires_in": 300})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(port_file + "~", "w", encoding="ascii") as f:
    f.write(str(server.server_port))
os.rename(port_file + "~", port_file)
server.serve_forever()
