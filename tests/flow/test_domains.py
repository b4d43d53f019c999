"""https, own domains and certificates: the edge as browsers see it."""
import datetime
import os
import stat
import subprocess

import pytest
import requests

from flow import apps
from flow.machine import Machine
from lib import paths, tls


@pytest.fixture(scope='module')
def edge(tmp_path_factory, cache):
    """Two applications, one of them with a second service."""
    m = Machine(tmp_path_factory.mktemp('machine'), cache).up()
    m.deploy('demo', 'one', apps.server('one'), **apps.PLAIN, handlers=[
        {'urlRegex': '/safe', 'securityLevel': 'SECURE_ALWAYS',
         'script': {'scriptPath': 'auto'}},
        {'urlRegex': '/.*', 'script': {'scriptPath': 'auto'}}])
    m.deploy('demo', 'two', apps.server('api'), service='api', **apps.PLAIN)
    m.deploy('other', 'one', apps.server('other'), **apps.PLAIN)
    yield m
    m.erase()


def port(edge):
    return edge.settings['https_port']


def headers(answer):
    return {k.lower(): v for k, v in answer['headers']}


# ---- https without further ado ----

def test_the_first_certificate_signs_itself(edge):
    cert = tls.shown(port(edge), 'demo.localhost')
    assert cert.issuer == cert.subject
    left = cert.not_valid_after_utc - datetime.datetime.now(
        datetime.timezone.utc)
    assert 390 < left.days < 398
    own, = [c for c in edge.status()['certificates'] if c['project'] == '-']
    assert {'localhost', '*.localhost'} <= set(own['domainNames'])
    assert 'warning' not in own
    # Whoever trusts it is satisfied.
    text = cert.public_bytes(tls.serialization.Encoding.PEM).decode()
    assert tls.ask(port(edge), 'localhost', trust=text)[0] == 404


def test_its_key_is_a_file_for_us_alone(edge):
    folder = os.path.join(edge.root, 'run', 'tls')
    name, = os.listdir(folder)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    path = os.path.join(folder, name)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_an_application_learns_of_https(edge):
    seen = headers(tls.ask_app(port(edge), 'demo.localhost', '/x?y'))
    assert seen['x-appengine-https'] == 'on'
    assert seen['x-forwarded-proto'] == 'https'
    assert seen['host'] == f'demo.localhost:{port(edge)}'
    plain = headers(edge.get('/x').json())
    assert plain['x-appengine-https'] == 'off'


def test_http_2(edge):
    done = subprocess.run(
        ['curl', '-sk', '--http2', '--noproxy', '*', '-w', '\n%{http_version}',
         '--resolve', f'demo.localhost:{port(edge)}:127.0.0.1',
         f'https://demo.localhost:{port(edge)}/two'],
        check=True, capture_output=True, timeout=60 * paths.SLOWNESS)
    body, _, version = done.stdout.decode().rpartition('\n')
    assert version == '2'
    assert '"path": "/two"' in body


@pytest.mark.parametrize('version', ['1', '1.1'])
def test_old_protocols_are_refused(edge, version):
    name = {'1': 'TLSv1', '1.1': 'TLSv1_1'}[version]
    context = tls.ssl._create_unverified_context()
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version = context.maximum_version = getattr(
        tls.ssl.TLSVersion, name)
    with tls.socket.create_connection(('127.0.0.1', port(edge))) as s:
        with pytest.raises(tls.ssl.SSLError):
            context.wrap_socket(s, server_hostname='demo.localhost')


def test_a_secure_handler_redirects_to_the_https_port(edge):
    answer = edge.get('/safe?a=b')
    assert answer.status_code == 302
    assert answer.headers['Location'] == \
        f'https://demo.localhost:{port(edge)}/safe?a=b'
    assert tls.ask(port(edge), 'demo.localhost', '/safe')[0] == 200


def test_it_is_the_same_certificate_after_a_restart(machine):
    machine.up().ready()
    first = tls.shown(port(machine), 'localhost').serial_number
    assert machine.down() == 0
    machine.up().ready()
    assert tls.shown(port(machine), 'localhost').serial_number == first


def test_without_a_port_there_is_no_https(tmp_path, cache):
    m = Machine(tmp_path / 'root', cache, https_port=0)
    try:
        status = m.up().ready()
        assert 'httpsPort' not in status
        assert status['certificates'] == []
        assert requests.get(
            f'http://127.0.0.1:{m.settings["http_port"]}/').status_code == 404
    finally:
        m.erase()
