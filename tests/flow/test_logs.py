"""Logs: bounded whatever an application writes, and asked by time."""
import os
import signal
import time

from flow.machine import Machine
from lib import paths

MB = 1 << 20

# Floods while /flood is open; /say/WORDS writes a line.
FLOOD = '''
import http.server, os, sys, threading, time, urllib.parse

block = ("x" * 1023 + "\\n") * 1024
flooding = threading.Event()
written = 0

def flood():
    global written
    while True:
        flooding.wait()
        sys.stdout.write(block)
        written += len(block)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = urllib.parse.unquote(self.path)
        if path == "/flood":
            flooding.set()
        elif path == "/calm":
            flooding.clear()
        elif path == "/exit":
            os.write(2, b"Traceback: the last words\\n")
            os._exit(3)
        elif path.startswith("/say/"):
            os.write(1, path[5:].encode() + b"\\n")
        body = f"{written} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

threading.Thread(target=flood, daemon=True).start()
http.server.ThreadingHTTPServer(
    ("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

APP = {'entrypoint': {'shell': 'python server.py'}}


def until(condition, within=60):
    """Its answer, once it is true."""
    deadline = time.monotonic() + within * paths.SLOWNESS
    while not (answer := condition()):
        assert time.monotonic() < deadline, 'it did not happen'
        time.sleep(0.02)
    return answer


def log_files(machine, name):
    folder = os.path.join(machine.root, 'logs')
    found = {}
    for entry in os.scandir(folder):
        if entry.name.startswith(name):
            try:
                found[entry.name] = entry.stat().st_size
            except FileNotFoundError:
                pass
    return found


def written(machine):
    return int(machine.get('/').text.split()[0])


def test_a_flood_is_bounded_loses_nothing_and_survives_kills(
        tmp_path, cache):
    """The writer of the log is killed in the middle, and the controller."""
    m = Machine(tmp_path / 'flood', cache, log_mb=1, log_files=2)
    try:
        m.up().deploy('demo', 'one', {'server.py': FLOOD}, **APP)
        most = 0

        def past(bytes_):
            nonlocal most
            most = max(most, sum(log_files(m, 'demo.').values()))
            return written(m) > bytes_

        m.get('/flood')
        until(lambda: past(30 * MB))
        for pid in writers(m):
            os.kill(pid, signal.SIGKILL)
        now = written(m)
        until(lambda: past(now + 30 * MB))
        m.controller.kill9()
        m.up()
        now = written(m)
        until(lambda: past(now + 30 * MB))
        assert len(writers(m)) == 1
        assert m.process('demo/')['restarts'] == 0
        m.get('/calm')
        # Between two renames one of them is not there.
        until(lambda: sorted(log_files(m, 'demo.')) == [
            'demo.default.one.log', 'demo.default.one.log.1',
            'demo.default.one.log.2'])
        assert 2 * MB <= most <= 3 * MB + 4 * 65536
    finally:
        m.erase()
    assert writers(m) == []


def writers(machine):
    """The processes that write the logs of instances."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline') as f:
                words = f.read().split('\0')
        except OSError:
            continue
        if words[0].endswith('/appscale-log') and \
                words[1].startswith(machine.root):
            found.append(int(pid))
    return found
