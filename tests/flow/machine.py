"""One machine under a controller of its own: its programs are killed, its
Admin API is called without the command line in between."""
import hashlib
import http.client
import io
import json
import os
import re
import signal
import socket
import tarfile
import time

import requests

from lib import paths
from lib.platform import share_builds
from lib.ports import Block
from lib.process import Process

CONTROLLER = os.path.join(paths.BUILD, 'bin', 'appscale-controller')


class Failed(Exception):
    """An operation that ended with an error; carries its message."""


class _Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('controller', timeout=120 * paths.SLOWNESS)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def archive(files):
    """A gzipped tar of {name: text or bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            data = text if isinstance(text, bytes) else text.encode()
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Machine:
    def __init__(self, root, cache, prefix=(), **settings):
        """`prefix`: words in front of the controller's command."""
        self.root, self.prefix = str(root), prefix
        self._ports = Block()
        self.settings = {**self._ports.settings(), 'start_seconds': 20,
                         **settings}
        # Python environments are made once for all tests.
        share_builds(self.root, cache)
        self.config = os.path.join(self.root, 'config.json')
        with open(self.config, 'w') as f:
            json.dump(self.settings, f)
        self.controller = None

    # ---- the controller ----

    def up(self, **env):
        self.controller = Process([*self.prefix, CONTROLLER, '--root', self.root,
                                   '--config', self.config], env=env)
        self.controller.wait_line('control.loaded', 30)
        return self

    def ready(self):
        """Wait until every part is; the status then."""
        self.controller.wait_line('control.ready', 30)
        return self.status()

    def down(self):
        """As SIGTERM does it: in order; its exit status."""
        if self.controller is None:
            return 0
        return self.controller.stop(30)

    def erase(self):
        """Whatever a test has left: nothing stays behind.  What a controller
        that was killed has left, the next one finds and stops."""
        if self.down() != 0:
            self.up(APPSCALE_ERRINJ='').down()
        self.controller = None
        self._ports.close()

    def output(self, lines=100):
        return self.controller.output(lines) if self.controller else ''

    # ---- the Admin API ----

    def api(self, method, path, body=None):
        conn = _Socket(os.path.join(self.root, 'run', 'controller.sock'))
        if isinstance(body, dict):
            body = json.dumps(body)
        conn.request(method, path, body)
        res = conn.getresponse()
        answer = json.loads(res.read())
        conn.close()
        return res.status, answer

    def finish(self, op):
        """Follow an operation; the steps it showed, or Failed."""
        steps = []
        while not op['done']:
            step = op['metadata']['ephemeralMessage']
            if not steps or steps[-1] != step:
                steps.append(step)
            time.sleep(0.05)
            op = self.api('GET', '/v1/' + op['name'])[1]
        if 'error' in op:
            raise Failed(op['error']['message'])
        return steps

    def upload(self, data):
        name = hashlib.sha256(data).hexdigest()
        status, answer = self.api(
            'POST', f'/v1/uploads/{name}?offset=0&total={len(data)}', data)
        assert (status, answer) == (200, {'size': len(data),
                                          'complete': True})
        return 'uploads/' + name

    def begin(self, project, version, files, service='default', query='',
              **more):
        """Start a deployment; its operation."""
        self.api('POST', '/v1/apps', {'id': project})
        doc = {'id': version, 'runtime': 'python311',
               'deployment': {'zip': {'sourceUrl': self.upload(
                   archive(files))}}, **more}
        status, op = self.api(
            'POST', f'/v1/apps/{project}/services/{service}/versions{query}',
            doc)
        if status != 200:
            raise Failed(op['error']['message'])
        return op

    def deploy(self, *args, **kwargs):
        return self.finish(self.begin(*args, **kwargs))

    def status(self):
        return self.api('GET', '/v1/platform/status')[1]

    def process(self, name):
        """The status of the process whose name starts like that."""
        return next(p for p in self.status()['processes']
                    if p['name'].startswith(name))

    def pids(self):
        return {p['name']: p['pid'] for p in self.status()['processes']
                if p['name'] != 'controller'}

    # ---- what a browser sees ----

    def get(self, path='/', host='demo.localhost', **kwargs):
        return requests.get(
            f'http://127.0.0.1:{self.settings["http_port"]}{path}',
            headers={'Host': host, **kwargs.pop('headers', {})},
            timeout=30 * paths.SLOWNESS, allow_redirects=False, **kwargs)

    def post(self, path, host='demo.localhost', **kwargs):
        return requests.post(
            f'http://127.0.0.1:{self.settings["http_port"]}{path}',
            headers={'Host': host}, timeout=60 * paths.SLOWNESS,
            allow_redirects=False, **kwargs)

    def sign_in(self, host, email, password):
        """The session cookie, "appscale_session=..."."""
        form = self.get('/_ah/login?continue=/', host=host)
        token = re.search('name="token" value="([^"]+)"', form.text).group(1)
        answer = requests.post(
            f'http://127.0.0.1:{self.settings["http_port"]}/_ah/login',
            data={'email': email, 'password': password, 'token': token,
                  'continue': '/'},
            headers={'Host': host, 'Cookie': '; '.join(
                f'{c.name}={c.value}' for c in form.cookies)},
            allow_redirects=False, timeout=30)
        assert answer.status_code == 302, answer.text
        return re.search('appscale_session=[^;]+',
                         answer.headers['Set-Cookie']).group(0)

    def app_pid(self, name):
        """The application's own first process, inside of its sandbox."""
        pid = self.process(name)['pid']
        for _ in ('leader', 'init'):
            with open(f'/proc/{pid}/task/{pid}/children') as f:
                pid = int(f.read().split()[0])
        return pid

    def kill(self, name):
        """kill -9 of one process, once the next one is up: its pid."""
        old = self.process(name)
        seen = self.controller.seen
        os.kill(old['pid'], signal.SIGKILL)
        again = rf'process.ready name={re.escape(old["name"])} ' \
                rf'pid=(?!{old["pid"]}\b)(\d+)'
        return int(self.controller.wait_line(again, 20, seen).group(1))
