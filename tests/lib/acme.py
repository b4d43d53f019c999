"""A local ACME server: pebble, with a DNS of its own that sends every domain to
127.0.0.1, where the platform's edge is port 80 for it."""
import json
import os
import shutil
import subprocess
import urllib.request

from lib import paths
from lib.ports import free_port
from lib.process import Process

HERE = os.path.join(paths.ROOT, 'tests', 'acme')
MODULE = 'github.com/letsencrypt/pebble/v2'


def _go(*args):
    return subprocess.run(['go', *args], cwd=HERE, text=True, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, 'GOFLAGS': '-mod=readonly'},
                          timeout=300 * paths.SLOWNESS)


def build(folder):
    """Both programs of the pinned module, and where its files are."""
    done = _go('build', '-o', f'{folder}/', *[
        f'{MODULE}/cmd/{name}' for name in ('pebble', 'pebble-challtestsrv')])
    assert done.returncode == 0, done.stdout + done.stderr
    return _go('list', '-m', '-f', '{{.Dir}}', MODULE).stdout.strip()


class Pebble:
    """Signs for whoever proves a domain on http_port.  `directory` and `ca` are
    what the platform has to know.  Its certificates end after `seconds`."""

    def __init__(self, folder, http_port, seconds=90 * 86400):
        module = build(folder)
        port, self.dns_api, dns = free_port(), free_port(), free_port()
        config = os.path.join(folder, 'pebble.json')
        with open(config, 'w') as f:
            json.dump({'pebble': {
                'listenAddress': f'127.0.0.1:{port}',
                'managementListenAddress': f'127.0.0.1:{free_port()}',
                'certificate': f'{module}/test/certs/localhost/cert.pem',
                'privateKey': f'{module}/test/certs/localhost/key.pem',
                'certificateValidityPeriod': seconds,
                'httpPort': http_port, 'tlsPort': free_port()}}, f)
        self.dns = Process([f'{folder}/pebble-challtestsrv', '-http01', '',
                            '-https01', '', '-tlsalpn01', '',
                            '-dns01', f'127.0.0.1:{dns}', '-defaultIPv6', '',
                            '-management', f'127.0.0.1:{self.dns_api}'])
        self.server = Process(
            [f'{folder}/pebble', '-config', config, '-strict', '-dnsserver',
             f'127.0.0.1:{dns}'], env={
                'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': '0'})
        self.server.wait_line('ACME directory available', 30)
        self.http_port = http_port
        self.directory = f'https://localhost:{port}/dir'
        self.ca = os.path.join(folder, 'ca.pem')    # a path the settings take
        shutil.copy(f'{module}/test/certs/pebble.minica.pem', self.ca)

    def lose(self, domain):
        """From now on the DNS fails for the domain."""
        urllib.request.urlopen(urllib.request.Request(
            f'http://127.0.0.1:{self.dns_api}/set-servfail',
            json.dumps({'host': domain + '.'}).encode()), timeout=30).close()

    def close(self):
        self.server.stop()
        self.dns.stop()
