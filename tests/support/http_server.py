#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that misbehaves in every way a download has to survive. Loopback only, standard library only.

As a program it serves until its standard input ends, so that it never outlives the test that started it:

    http_server.py ROOT [--tls CERTIFICATE_AND_KEY.pem]     prints its base address

As a module:

    with http_server.Server(root) as server:
        download(server.url("/ok/file"))
        server.bytes_sent

The first part of a path says how the rest, a file below ROOT, is served:

    /ok/F              as it should be, with ranges              /status/N           that status
    /norange/F         always the whole                          /redirect/N?URL     status N and that Location
    /wrongrange/F      a range that begins one byte too late     /hops/N/F           N redirects, then /ok/F
    /twisted/F         206 for requests without a range          /loop               redirects to itself
    /no416/F           416 for every range                       /page               a login page instead
    /break/A,B,…/F     ends at the first of these offsets        /page/F             the same
                       behind the beginning                      /hang               never answers
    /hangat/N/F        falls silent at offset N                  /headers            headers without end
    /drip/F            a byte every 0.3 s                        /endless            a body without end
    /driphead          headers, a byte every 0.3 s               /announce/N         announces N bytes, sends few
    /short/F           announces half of it, sends all           /garbage            does not speak HTTP
    /long/F            announces more than it sends              /location           a redirect without Location
    /nolength/F        ends by closing, no length told           /log                what was asked, and reset
    /empty/N           status N without a body                   /partial/F          206, but fewer bytes than asked
    /reset/N/F         resets the connection at offset N         /slowpage           the page, its first byte alone

CONNECT (a proxy's business) is answered with 407.
"""

import argparse
import http.server
import json
import pathlib
import re
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.parse

PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please log in.</body></html>\n"
DRIP_SECONDS = 0.3


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def do_CONNECT(self):
        self.server.note("CONNECT", self.path, None)
        self.head(407, {"Proxy-Authenticate": "Basic realm=proxy", "Content-Length": 0})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        _, kind, *rest = path.split("/")
        if kind != "log":
            self.server.note("GET", self.path, self.headers.get("Range"), self.headers.get("User-Agent"))
        answer = getattr(self, "serve_" + kind, None)
        self.close_connection = True
        try:
            if answer:
                answer([urllib.parse.unquote(part) for part in rest], query)
            else:
                self.serve_status(["404"], "")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # the client has had enough

    # --- pieces

    def head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def body(self, data):
        self.server.add_bytes(len(data))  # first: who has received it may ask at once
        self.wfile.write(data)
        self.wfile.flush()

    def content(self, rest):
        """The file, or None after a 404."""
        path = self.server.root.joinpath(*rest)
        if rest and ".." not in rest and path.is_file():
            return path.read_bytes()
        self.serve_status(["404"], "")
        return None

    def start(self, data):
        """First byte asked for, 0 for all."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match.group(1)) if match else 0

    def begin(self, data, shift=0):
        """Sends the head of an honest answer; returns where its body begins, or None after a 416."""
        start = self.start(data)
        if not start:
            self.head(200, {"Content-Length": len(data)})
        elif start >= len(data):
            self.head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": 0})
            return None
        else:
            start += shift
            self.head(206, {"Content-Length": len(data) - start,
                            "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        return start

    def wait(self):
        """Until the client or the server goes."""
        self.connection.settimeout(0.2)
        while not self.server.stopping:
            try:
                if not self.connection.recv(1):
                    return
            except (TimeoutError, ssl.SSLWantReadError):
                pass
            except OSError:
                return

    # --- ways to serve

    def serve_ok(self, rest, query):
        data = self.content(rest)
        if data is not None:
            start = self.begin(data)
            if start is not None:
                self.body(data[start:])

    def serve_norange(self, rest, query):
        data = self.content(rest)
        if data is not None:
            self.head(200, {"Content-Length": len(data)})
            self.body(data)

    def serve_wrongrange(self, rest, query):
        data = self.content(rest)
        if data is not None:
            start = self.begin(data, shift=1 if self.start(data) else 0)
            self.body(data[start:])

    def serve_twisted(self, rest, query):
        data = self.content(rest)
        self.head(206, {"Content-Length": len(data), "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})
        self.body(data)

    def serve_no416(self, rest, query):
        data = self.content(rest)
        if self.headers.get("Range"):
            self.head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": 0})
        else:
            self.serve_ok(rest, query)

    def serve_partial(self, rest, query):
        data, start = self.content(rest), 0
        start = self.start(data)
        end = min(len(data), start + 1000)
        self.head(206 if start else 200, {"Content-Length": end - start,
                                          "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
        self.body(data[start:end])

    def serve_break(self, rest, query):
        data = self.content(rest[1:])
        start = self.begin(data)
        if start is not None:
            ends = [int(n) for n in rest[0].split(",") if int(n) > start]
            self.body(data[start:ends[0] if ends else len(data)])

    def serve_reset(self, rest, query):
        data = self.content(rest[1:])
        start = self.begin(data)
        self.body(data[start:int(rest[0])])
        time.sleep(DRIP_SECONDS)  # what was sent should arrive before
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def serve_hangat(self, rest, query):
        data = self.content(rest[1:])
        start = self.begin(data)
        self.body(data[start:int(rest[0])])
        self.wait()

    def serve_hang(self, rest, query):
        self.wait()

    def serve_drip(self, rest, query):
        data = self.content(rest)
        self.head(200, {"Content-Length": len(data)})
        for i in range(len(data)):
            self.body(data[i:i + 1])
            if self.server.stopping:
                return
            time.sleep(DRIP_SECONDS)

    def serve_driphead(self, rest, query):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-More: ")
        while not self.server.stopping:
            self.wfile.write(b"m")
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    def serve_short(self, rest, query):
        data = self.content(rest)
        self.head(200, {"Content-Length": len(data) // 2})
        self.body(data)

    def serve_long(self, rest, query):
        data = self.content(rest)
        self.head(200, {"Content-Length": len(data) + 100})
        self.body(data)

    def serve_nolength(self, rest, query):
        data = self.content(rest)
        self.head(200, {})
        self.body(data)

    def serve_status(self, rest, query):
        words = b"<html><body>status page</body></html>"
        self.head(int(rest[0]), {"Content-Type": "text/html", "Content-Length": len(words)})
        self.body(words)

    def serve_empty(self, rest, query):
        self.head(int(rest[0]), {"Content-Length": 0})

    def serve_redirect(self, rest, query):
        self.head(int(rest[0]), {"Location": urllib.parse.unquote(query), "Content-Length": 4})
        self.body(b"away")

    def serve_location(self, rest, query):
        self.head(302, {"Content-Length": 0})

    def serve_hops(self, rest, query):
        left = int(rest[0])
        target = "/ok/" if left <= 1 else f"/hops/{left - 1}/"
        self.head(302, {"Location": target + "/".join(rest[1:]), "Content-Length": 0})

    def serve_loop(self, rest, query):
        self.head(301, {"Location": "/loop", "Content-Length": 0})

    def serve_page(self, rest, query):
        self.head(200, {"Content-Type": "text/html", "Content-Length": len(PAGE)})
        self.body(PAGE)

    def serve_slowpage(self, rest, query):
        self.head(200, {})
        self.body(PAGE[:1])
        time.sleep(DRIP_SECONDS)
        self.body(PAGE[1:])

    def serve_headers(self, rest, query):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.stopping:
            self.wfile.write(b"X-More: " + b"m" * 1000 + b"\r\n")

    def serve_endless(self, rest, query):
        self.head(200, {})
        while not self.server.stopping:
            self.body(bytes(65536))

    def serve_announce(self, rest, query):
        self.head(200, {"Content-Length": int(rest[0])})
        self.body(bytes(1000))
        self.wait()

    def serve_garbage(self, rest, query):
        self.wfile.write(b"220 mail.example.org ESMTP\r\n" * 10)

    def serve_log(self, rest, query):
        text = json.dumps(self.server.take_log()).encode()
        self.head(200, {"Content-Length": len(text)})
        self.wfile.write(text)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves ROOT on a port of the system's choice, in threads, as long as the `with` block lasts."""
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, root, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = pathlib.Path(root)
        self.scheme = "https" if tls else "http"
        self.stopping = False
        self.lock = threading.Lock()
        self.requests, self.bytes_sent = [], 0
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls)

    def finish_request(self, request, client_address):
        # here and not on the listening socket: a client that says nothing holds up its own thread only
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)
        try:
            request.close()
        except OSError:
            pass

    def handle_error(self, request, client_address):
        pass

    def url(self, path=""):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"

    def note(self, method, path, wanted, agent=None):
        with self.lock:
            self.requests.append({"method": method, "path": path, "range": wanted, "agent": agent})

    def add_bytes(self, count):
        with self.lock:
            self.bytes_sent += count

    def take_log(self):
        with self.lock:
            log = {"count": len(self.requests), "bytes": self.bytes_sent, "requests": self.requests}
            self.requests, self.bytes_sent = [], 0
            return log

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.shutdown()
        self.server_close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("root")
    parser.add_argument("--tls", metavar="PEM", help="speak https with this certificate and key")
    arguments = parser.parse_args()
    with Server(arguments.root, arguments.tls) as server:
        print(server.url(), flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
