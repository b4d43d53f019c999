"""The whole platform as a person starts it: `appscale up` and its sisters.

A Platform has its own root folder and free ports; its applications answer at
http://PROJECT.localhost:PORT.  Everything that it started is gone after
close(), whatever the test did to it.
"""
import http.client
import json
import os
import shutil
import signal
import tempfile
import time

from lib import paths
from lib.ports import Block
from lib.process import run

def share_builds(root, cache):
    """Let the builds of a platform keep what they make in `cache`, a folder
    for each project, where those of others find it."""
    shared = os.path.join(cache, 'apps')
    link = os.path.join(root, 'cache', 'apps')
    os.makedirs(shared, exist_ok=True)
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if not os.path.islink(link):
        os.symlink(shared, link)


class Platform:
    def __init__(self, cache=None, **settings):
        self.root = tempfile.mkdtemp(prefix='appscale-platform.')
        self._ports = Block()
        self.settings = {**self._ports.settings(),
                         'http_address': '127.0.0.1', **settings}
        self.config = os.path.join(self.root, 'AppScalefile')
        with open(self.config, 'w') as f:
            for name, value in self.settings.items():
                f.write(f'{name}: {value}\n')
        self.port = self.settings['http_port']
        self._share(cache)

    def _share(self, cache):
        """What builds download is fetched once for all platforms of a run."""
        if cache:
            share_builds(self.root, cache)

    # ---- the command line ----

    def cli(self, *args, **kwargs):
        return run([paths.APPSCALE, *args], env={
            'APPSCALE_ROOT': self.root}, cwd=self.root, **kwargs)

    def json(self, *args):
        return json.loads(self.cli(*args, '--json').stdout)

    def up(self):
        """Start; the seconds until it said that it was ready."""
        began = time.monotonic()
        self.cli('up', '--config', self.config)
        return time.monotonic() - began

    def down(self, *args):
        return self.cli('down', *args, check=False)

    def deploy(self, folder, *args):
        return self.cli('deploy', folder, *args, timeout=600)

    def create_user(self, email, *args):
        """Make an account; its password."""
        return self.json('create-user', email, *args)['password']

    def process(self, name):
        """The status of the process whose name starts like that."""
        return next(p for p in self.json('status')['processes']
                    if p['name'].startswith(name))

    # ---- its applications ----

    def address(self, project):
        return f'http://{project}.localhost:{self.port}'

    def get(self, project, path='/', timeout=5):
        """Status and body; OSError and HTTPException when nobody answers."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port,
                                                timeout=timeout)
        try:
            connection.request('GET', path, headers={
                'Host': f'{project}.localhost:{self.port}'})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors='replace')
        finally:
            connection.close()

    def answers(self, project, path='/', within=30):
        """Ask until the answer is 200; the seconds that it took."""
        began = time.monotonic()
        last = None
        while time.monotonic() - began < within * paths.SLOWNESS:
            try:
                last = self.get(project, path)
                if last[0] == 200:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException) as e:
                last = e
            # Nothing announces that a killed server is back but its answer.
            time.sleep(0.02)
        raise AssertionError(f'{project}{path} in {within} s: {last}')

    # ---- its end ----

    def output(self, lines=100):
        """The ends of the logs of all its processes."""
        folder = os.path.join(self.root, 'logs')
        texts = []
        for top, _, names in os.walk(folder):
            for name in sorted(names):
                with open(os.path.join(top, name), errors='replace') as f:
                    end = f.read().splitlines()[-lines // 4:]
                texts.append('\n'.join([f'--- {name}', *end]))
        return '\n'.join(texts)

    def _mine(self):
        """Processes whose command line or environment names our root."""
        root = self.root.encode()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                text = b''
                for name in ('cmdline', 'environ'):
                    with open(f'/proc/{pid}/{name}', 'rb') as f:
                        text += f.read()
            except OSError:
                continue
            if root in text and int(pid) != os.getpid():
                yield int(pid)

    def close(self):
        self.down()
        for pid in list(self._mine()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.root, ignore_errors=True)
        self._ports.close()
