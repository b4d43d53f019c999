"""nginx alone, on the file that the controller would write for a model.

Where haproxy would listen there is a stand-in: it answers with what it was
sent, as JSON, or with what a test has told it to say.
"""
import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading

import requests

from lib import paths
from lib.ports import free_port
from lib.process import Process

NGINX_TEXT = os.path.join(paths.BUILD, 'tests', 'unit', 'nginx_text')
NGINX = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
AUTH = '/_appscale/auth'


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *args):
        """nginx hangs up where it has heard enough."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def address_string(self):
        return 'unix'

    def log_message(self, *args):
        pass

    def _auth(self, wanted):
        """The session cookie says who it is."""
        who = self.headers.get('Cookie', '').partition('appscale_session=')[2]
        status = 200
        if wanted:
            status = 401 if not who else \
                403 if wanted == 'admin' and who != 'boss' else 200
        self.send_response(status)
        self.send_header('X-Appengine-User-Email', who)
        self.send_header('X-Appscale-Login-Url', '/_ah/login?continue=here')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def _answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        edge = self.server.edge
        edge.seen.append(self.path)
        if edge.stopped:
            self.close_connection = True
            return None
        if self.path.startswith(AUTH):
            return self._auth(self.path.partition('login=')[2])
        path = self.path.partition('?')[0]
        if path in edge.says:
            return edge.says[path](self)
        out = json.dumps({
            'method': self.command, 'path': self.path, 'body': body.decode(),
            'headers': {k.lower(): v for k, v in self.headers.items()},
        }).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(out)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = _answer
    do_PATCH = do_PROPFIND = _answer


class Edge:
    """`apps`: {P: {**document, 'services': {S: {**document, 'versions': [
    document]}}}}; `files`: {"P/S/V": {name: text}}."""

    def __init__(self, apps, files=None):
        self.root = tempfile.mkdtemp(prefix='appscale-edge.')
        self.port = free_port()
        self.seen, self.says, self.stopped = [], {}, False
        for folder in ('run/tmp', 'logs'):
            os.makedirs(os.path.join(self.root, folder))
        for version, texts in (files or {}).items():
            self._write(version, texts)
        os.chmod(self.root, 0o755)
        stub = _Server(os.path.join(self.root, 'run/haproxy.sock'), _Handler)
        stub.edge, self._stub = self, stub
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        self.load(apps)

    def _write(self, version, texts):
        for name, text in texts.items():
            path = os.path.join(self.root, 'apps', version, '1', 'app', name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as f:
                f.write(text if isinstance(text, bytes) else text.encode())

    def load(self, apps):
        for app in apps.values():
            for service in app['services'].values():
                for v in service['versions']:
                    v.update(runtime='python312', deploymentId='1')
        text = subprocess.run(
            [NGINX_TEXT], check=True, stdout=subprocess.PIPE, input=json.dumps({
                'root': self.root, 'port': self.port, 'apps': apps}).encode())
        conf = os.path.join(self.root, 'run', 'nginx.conf')
        with open(conf, 'wb') as f:
            f.write(text.stdout)
        command = [NGINX, '-p', os.path.join(self.root, 'run'), '-e', 'stderr',
                   '-c', conf]
        check = subprocess.run([*command, '-t'], capture_output=True)
        assert check.returncode == 0, check.stderr.decode()
        assert b'[warn]' not in check.stderr, check.stderr.decode()
        self.nginx = Process(command)
        self._wait()

    def _wait(self):
        """nginx says nothing when it is there, but it answers."""
        while True:
            assert self.nginx.returncode is None, self.nginx.output()
            try:
                self.connect().close()
                return
            except OSError:
                threading.Event().wait(0.01)

    def connect(self, source='127.0.0.1'):
        return socket.create_connection(('127.0.0.1', self.port),
                                        timeout=10 * paths.SLOWNESS,
                                        source_address=(source, 0))

    def ask(self, path='/', host='p.localhost', method='GET', **kwargs):
        """The path goes out as it is written."""
        url = f'http://127.0.0.1:{self.port}'
        request = requests.Request(method, url, headers={
            'Host': host, **kwargs.pop('headers', {})}, **kwargs).prepare()
        request.url = url + path
        with requests.Session() as s:
            return s.send(request, allow_redirects=False,
                          timeout=30 * paths.SLOWNESS)

    def backend(self, path='/', host='p.localhost', **kwargs):
        """"SERVICE/VERSION": whom haproxy would ask."""
        headers = self.ask(path, host, **kwargs).json()['headers']
        return '/'.join(headers['x-appscale-backend'].split(':')[1:3])

    def raw(self, text, source='127.0.0.1'):
        """One request, written by hand, to its end."""
        out = b''
        with self.connect(source) as s:
            s.sendall(text.encode())
            while data := s.recv(65536):
                out += data
        return out.decode()

    def stop_stub(self):
        """Nobody listens where haproxy would."""
        if not self.stopped:
            self._stub.shutdown()
            self._stub.server_close()
            os.unlink(self._stub.server_address)
        self.stopped = True

    def close(self):
        self.stop_stub()
        status = self.nginx.stop(30)
        shutil.rmtree(self.root)
        assert status == 0
