"""appscale-server alone, as the emulator runs it, on any storage backend.

    with Server(project='p', storage='memory') as server:
        server.port ...
        server.platform('SetReadOnly', app='p', on=True)

The port stays the same over a restart, so that clients find it again.  The
platform service answers as it does to a controller; its messages are read from
the build's descriptors.
"""
import os
import shutil
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from lib import paths
from lib.ports import free_port
from lib.process import Process
from lib.rpc import Client

TICKET = 'the-ticket-of-the-platform'


def _messages():
    """name -> class, of proto/platform.proto."""
    pool, names = descriptor_pool.DescriptorPool(), []
    with open(os.path.join(paths.BUILD, 'proto', 'descriptors.bin'),
              'rb') as f:
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read()).file
    for file in files:
        pool.Add(file)
        if file.package == 'platform':
            names += [m.name for m in file.message_type]
    return {name: message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f'platform.{name}')) for name in names}


class Server:
    host = '127.0.0.1'

    def __init__(self, project, storage='rocksdb', faults='', options=()):
        self.project, self.storage = project, storage
        self.options = list(options)
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix='appscale-server.')
        self.data = os.path.join(self.folder, 'data')
        self._ticket = os.path.join(self.folder, 'ticket')
        with open(self._ticket, 'w') as f:
            f.write(TICKET)
        os.chmod(self._ticket, 0o600)
        self._known = None
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
             '--platform-ticket-file', self._ticket,
             '--listen', f'{self.host}:{self.port}', *self.options],
            env={'APPSCALE_ERRINJ': faults} if faults else None,
            name='appscale-server')
        self.process.wait_line(r'server\.ready port=', timeout=30)

    def stop(self):
        """SIGTERM; the exit status, which should be 0."""
        return self.process.stop()

    def restart(self):
        assert self.stop() == 0, self.output()
        self.start()

    def platform(self, method, **fields):
        """Call platform.METHOD with these fields; its answer."""
        self._known = self._known or _messages()
        void = self._known['Void']
        client = Client(self.host, self.port, ticket=TICKET)
        try:
            return client.call(
                'platform', method,
                self._known.get(f'{method}Request', void)(**fields),
                self._known.get(f'{method}Response', void))
        finally:
            client.close()

    def output(self, lines=200):
        return self.process.output(lines)

    def close(self):
        if self.process:
            self.process.kill_session()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
