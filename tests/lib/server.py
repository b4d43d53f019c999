"""appscale-server alone, as the emulator runs it, on any storage backend.

    with Server(project='p', storage='memory') as server:
        server.port ...

The port stays the same over a restart, so that clients find it again.
"""
import os
import shutil
import tempfile

from lib import paths
from lib.process import Process, free_port


class Server:
    def __init__(self, project, storage='rocksdb', faults=''):
        self.project, self.storage = project, storage
        self.port = free_port()
        self.data = tempfile.mkdtemp(prefix='appscale-server.')
        self.process = None
        try:
            self.start(faults)
        except BaseException:
            self.close()
            raise

    def start(self, faults=''):
        """Over the data there is; `faults` as APPSCALE_ERRINJ has them."""
        self.process = Process(
            [os.path.join(paths.BUILD, 'bin', 'appscale-server'),
             '--emulator', '--project', self.project,
             '--storage', self.storage, '--data', self.data,
             '--listen', f'127.0.0.1:{self.port}'],
            env={'APPSCALE_ERRINJ': faults} if faults else None,
            name='appscale-server')
        self.process.wait_line(r'server\.ready port=', timeout=30)

    def stop(self):
        """SIGTERM; the exit status, which should be 0."""
        return self.process.stop()

    def output(self, lines=200):
        return self.process.output(lines)

    def close(self):
        if self.process:
            self.process.kill_session()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
