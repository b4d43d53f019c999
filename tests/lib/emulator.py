"""`appscale emulator` as a test fixture.

    with Emulator(project='guest') as emu:
        emu.host, emu.port ...

It takes a free port and a data folder of its own unless told otherwise, and
is ready when the constructor returns: the emulator prints where it listens
once it does.
"""
import os
import re
import shutil
import signal
import sys
import tempfile

from lib import paths
from lib.process import Process

# Run the tests against the SDK's own stubs instead (lib/reference.py).
REFERENCE = bool(os.environ.get('APPSCALE_REFERENCE'))


class Emulator:
    def __init__(self, project='sdk-tests', data=None, appdir=None, port=0,
                 env=None, options=()):
        self.project = project
        self._own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix='appscale-emulator.')
        self._appdir = [appdir] if appdir else []
        self._want_port = port
        self._env = env
        self._options = list(options)
        self.process = None
        self.start()

    def start(self):
        options = ['--project', self.project, '--port', self._want_port]
        if REFERENCE:
            argv = [sys.executable, '-m', 'lib.reference', *options]
        else:
            argv = [paths.APPSCALE, 'emulator', *self._appdir, *options,
                    '--data', self.data, *self._options]
        self.process = Process(
            argv, env=self._env, name='emulator',
            cwd=os.path.join(paths.ROOT, 'tests') if REFERENCE else None)
        try:
            self.host = self._export('API_HOST')
            self.port = int(self._export('API_PORT'))
        except BaseException:
            self.process.kill_session()
            raise

    def _export(self, name):
        line = self.process.wait_line(rf'^\s*export {name}=(\S+)', timeout=30)
        return re.sub(r'[\'";]', '', line[1])

    def kill9(self):
        """kill -9, then take what else is left: a power cut for the store."""
        self.process.send(signal.SIGKILL)
        self.process.kill_session()

    def restart(self):
        """Start again over the same data; the port may be another one."""
        self.start()

    def stop(self):
        """SIGTERM; the exit status, which should be 0."""
        return self.process.stop()

    def output(self, lines=200):
        return self.process.output(lines)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.process.stop()
        finally:
            self.process.kill_session()
            if self._own_data:
                shutil.rmtree(self.data, ignore_errors=True)
