"""Small applications: one file, the standard library, nothing to install."""

SERVER = '''
import http.server, json, os, sys, time

LIFE = os.urandom(8).hex()  # of this process; pids begin anew in a sandbox

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(1)
        body = json.dumps({"text": "TEXT", "life": LIFE,
                           "path": self.path, "env": dict(os.environ),
                           "headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        n = int(self.headers["Content-Length"])
        while n > 0:
            n -= len(self.rfile.read(min(n, 65536)))
        self.do_GET()

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

print("hello from TEXT", flush=True)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

PLAIN = {'entrypoint': {'shell': 'python server.py'}}


def server(text='one'):
    """Answers every request with what it sees, as JSON."""
    return {'server.py': SERVER.replace('TEXT', text)}
