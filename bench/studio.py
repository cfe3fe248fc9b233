#!/usr/bin/env python3
"""`ddim serve` under clients of every kind: `bench/studio.py [--seconds 120] [--clients 64]`, with `target/release/ddim` built.

64 clients at once, for two minutes: jobs that are followed to their end, jobs that are left or cancelled, events that are read a byte at a time, heads and bodies that
come too slowly or never, bodies that are too large, no JSON, or no HTTP at all. Every job that ends well must have the very bytes that the command line writes for the same
settings, no answer may be a 5xx but 503 (for want of room), and the server must be there at the end. Says what was answered, and the most memory that the server took.
"""
import argparse
import base64
import collections
import hashlib
import http.client
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLES = [
    {"count": count, "steps": steps, "seed": seed, "eta": eta}
    for seed, (count, steps, eta) in enumerate([(1, 2, 0.0), (2, 3, 0.5), (4, 2, 1.0), (1, 10, 0.0), (3, 5, 0.2), (8, 2, 0.0), (16, 1, 0.0), (2, 20, 0.0)])
]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected(ddim, folder):
    """Jobs, each with the hashes of its images, where the command line writes such, and of its array."""
    found = []
    for n, setting in enumerate(SAMPLES):
        out = folder / str(n)
        flags = [x for name, value in setting.items() for x in (f"--{name}", str(value))]
        subprocess.run([ddim, "sample", *flags, "--out", out, "--save-npy", folder / f"{n}.npy", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        found.append((("sample", setting), [digest(path) for path in sorted(out.glob("*.png"))], digest(folder / f"{n}.npy")))
    image = folder / "0/00000.png"
    url = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
    others = [
        ("encode", {"input": url, "steps": 5}, ["--input", image, "--steps", "5"]),
        ("edit", {"input": url, "steps": 4, "strength": 0.6, "seed": 3, "variations": 2}, ["--input", image, "--steps", "4", "--strength", "0.6", "--seed", "3", "--variations", "2"]),
        ("interpolate", {"seeds": [1, 2, 3, 4], "rows": 3, "cols": 3, "steps": 3}, ["--seeds", "1,2,3,4", "--rows", "3", "--cols", "3", "--steps", "3"]),
    ]
    for kind, request, flags in others:
        subprocess.run([ddim, kind, *flags, "--save-npy", folder / f"{kind}.npy", "--quiet"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        found.append(((kind, request), None, digest(folder / f"{kind}.npy")))
    return found


class Clients:
    def __init__(self, port, wanted, until):
        self.port, self.wanted, self.until = port, wanted, until
        self.lock = threading.Lock()
        self.seen = collections.Counter()
        self.wrong = []

    def count(self, what, n=1):
        with self.lock:
            self.seen[what] += n

    def fail(self, what):
        with self.lock:
            self.wrong.append(what)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, connection, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = answer.read()
        self.count(f"status {answer.status}")
        if answer.status >= 500 and answer.status != 503:
            self.fail(f"{method} {path}: {answer.status} {found[:200]}")
        return answer.status, found

    def submit(self, connection, n):
        kind, request = self.wanted[n][0]
        return self.ask(connection, "POST", "/api/v1/jobs", json.dumps({"kind": kind, "request": request, "previews": 4}))

    def good(self):
        n = random.randrange(len(self.wanted))
        connection = self.connection()
        status, body = self.submit(connection, n)
        if status != 202:
            time.sleep(0.2)
            return
        job = json.loads(body)
        events = self.connection()
        events.request("GET", job["events"])
        text = events.getresponse().read().decode()
        last = [line for line in text.split("\n") if line.startswith("event: ")][-1]
        if last != "event: done":
            self.fail(f"job {job['id']} of setting {n}: {last}")
            return
        status, body = self.ask(connection, "GET", f"/api/v1/jobs/{job['id']}")
        if status == 404:
            self.count("forgotten before it was fetched")
            return
        job, (_, images, array) = json.loads(body), self.wanted[n]
        known = zip(job["images"], images, strict=True) if images else []
        for url, wanted in [*known, (job["array"], array)]:
            status, body = self.ask(connection, "GET", url)
            if status == 404:
                self.count("forgotten before it was fetched")
                return
            if hashlib.sha256(body).hexdigest() != wanted:
                self.fail(f"{url} of setting {n}: other bytes than the command line writes")
        self.count("jobs with the command line's bytes")

    def left(self):
        connection = self.connection()
        status, body = self.submit(connection, 7)
        if status != 202:
            time.sleep(0.2)
            return
        job = json.loads(body)
        events = self.connection()
        events.request("GET", job["events"])
        answer = events.getresponse()
        answer.read(random.randrange(1, 500))
        events.close()
        if random.random() < 0.7:
            self.ask(connection, "DELETE", f"/api/v1/jobs/{job['id']}")
        self.count("jobs that were left")

    def raw(self, what, pieces, pause=0.0):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as stream:
            try:
                for piece in pieces:
                    stream.sendall(piece)
                    if pause:
                        time.sleep(pause)
                    if time.time() > self.until:
                        break
                while stream.recv(65536):
                    pass
            except OSError:
                pass
        self.count(what)

    def head(self, *more):
        lines = ["POST /api/v1/jobs HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json", *more]
        return ("\r\n".join(lines) + "\r\n").encode()

    def slow_head(self):
        self.raw("heads a byte at a time", (bytes([byte]) for byte in self.head() * 9), 0.2)

    def slow_body(self):
        self.raw("bodies a byte at a time", [self.head("Content-Length: 1000") + b"\r\n", *[b"{"] * 1000], 0.2)

    def slow_reader(self):
        connection = self.connection()
        status, body = self.submit(connection, 3)
        if status != 202:
            time.sleep(0.2)
            return
        path = json.loads(body)["events"]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
            for _ in range(30):
                if not stream.recv(16) or time.time() > self.until:
                    break
                time.sleep(0.1)
        self.count("events read slowly")

    def large(self):
        size = random.choice([9 << 20, 7 << 20])
        self.raw("large bodies", [self.head(f"Content-Length: {size}", "Connection: close") + b"\r\n", *[b" " * (1 << 20)] * (size >> 20)])

    def malformed(self):
        connection = self.connection()
        bodies = ["", "{", "[]", '{"kind":"sample","request":{"steps":-1}}', '{"kind":"edit","request":{"input":"data:;base64,AAAA"}}', "\0" * 100, '{"kind":"x"}']
        status, _ = self.ask(connection, "POST", "/api/v1/jobs", random.choice(bodies))
        if status not in (400, 503):
            self.fail(f"a malformed body: {status}")
        self.raw("what is no HTTP", [random.randbytes(random.randrange(1, 2000)) + b"\r\n\r\n"])

    def looks(self):
        connection = self.connection()
        for path in ["/", "/metrics", "/healthz", "/api/v1/models", "/api/v1/jobs", "/api/v1/jobs/99999999", "/nowhere"]:
            self.ask(connection, "GET", path)

    def run(self, number):
        kinds = [self.good] * 6 + [self.left, self.slow_head, self.slow_body, self.slow_reader, self.large, self.malformed, self.looks]
        # One kind each at first, then what comes.
        kind = kinds[number % len(kinds)]
        while time.time() < self.until:
            try:
                kind()
            except (OSError, http.client.HTTPException) as error:
                self.count(f"connections that were ended: {type(error).__name__}")
            kind = random.choice(kinds)


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--ddim", default=os.environ.get("DDIM", ROOT / "target/release/ddim"))
    flags = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        wanted = expected(flags.ddim, folder)
        server = subprocess.Popen([flags.ddim, "serve", "--listen", "127.0.0.1:0", "--store", folder / "jobs.redb"], stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline().rsplit(":", 1)[1].strip().rstrip("/"))
        idle = memory(server.pid)
        clients = Clients(port, wanted, time.time() + flags.seconds)
        threads = [threading.Thread(target=clients.run, args=(n,)) for n in range(flags.clients)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        status, _ = clients.ask(clients.connection(), "GET", "/healthz")
        print(f"{flags.clients} clients, {flags.seconds:.0f} s")
        for what, n in sorted(clients.seen.items()):
            print(f"{n:7}  {what}")
        print(f"memory of the server at most: {memory(server.pid):.0f} MiB, {idle:.0f} MiB before the first client; its file of jobs: {(folder / 'jobs.redb').stat().st_size / 2**20:.0f} MiB")
        server.terminate()
        code = server.wait(30)
        for wrong in clients.wrong[:20]:
            print(f"WRONG: {wrong}")
        print("the server is there, and ended in order" if status == 200 and code == 143 else f"the server: /healthz {status}, exit code {code}")
        sys.exit(1 if clients.wrong or status != 200 or code != 143 else 0)


if __name__ == "__main__":
    main()
