"""https, own domains and certificates: the edge as browsers see it."""
import datetime
import os
import shutil
import stat
import subprocess
import threading

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


# ---- certificates and domains through the Admin API ----

CERTIFICATES = '/v1/apps/demo/authorizedCertificates'
MAPPINGS = '/v1/apps/demo/domainMappings'


def create(edge, issued, chain='', **more):
    """Bring a certificate; its id."""
    status, answer = edge.api('POST', CERTIFICATES, {
        'displayName': 'x', 'certificateRawData': issued.raw(chain), **more})
    assert status == 200, answer
    return answer['id']


def use(edge, domain, certificate=None, app='demo', query=''):
    """Map a domain; the operation's response."""
    body = {'id': domain}
    if certificate:
        body['sslSettings'] = {'certificateId': certificate}
    status, op = edge.api(
        'POST', f'/v1/apps/{app}/domainMappings{query}', body)
    assert status == 200, op
    assert op['done'] and 'error' not in op, op
    return op['response']


def forget(edge, domain, app='demo'):
    status, op = edge.api(
        'DELETE', f'/v1/apps/{app}/domainMappings/{domain}')
    assert status == 200 and 'error' not in op, op


@pytest.fixture(scope='module')
def authority():
    return tls.Issued('An authority', authority=True, days=1000)


def test_a_certificate_is_kept_and_its_key_never_told(edge, authority):
    issued = tls.Issued('www.a.org', '*.b.org', by=authority)
    ident = create(edge, issued, authority.pem)
    status, got = edge.api('GET', f'{CERTIFICATES}/{ident}'
                           '?view=FULL_CERTIFICATE')
    assert status == 200
    assert got['name'] == f'apps/demo/authorizedCertificates/{ident}'
    assert got['domainNames'] == ['www.a.org', '*.b.org']
    assert got['expireTime'].startswith(
        issued.certificate.not_valid_after_utc.strftime('%Y-%m-%dT%H:%M'))
    assert got['certificateRawData'] == {
        'publicCertificate': issued.pem + authority.pem}
    assert got['visibleDomainMappings'] == []
    listed = edge.api('GET', CERTIFICATES)[1]['certificates']
    assert ident in [c['id'] for c in listed]
    assert 'certificateRawData' not in listed[0]
    status, got = edge.api(
        'PATCH', f'{CERTIFICATES}/{ident}?updateMask=displayName',
        {'displayName': 'renamed'})
    assert (status, got['displayName']) == (200, 'renamed')
    assert edge.api('DELETE', f'{CERTIFICATES}/{ident}') == (200, {})
    assert edge.api('GET', f'{CERTIFICATES}/{ident}')[0] == 404


def wrong(authority):
    leaf = tls.Issued('www.a.org', by=authority)
    other = tls.Issued('other.org')
    yield 'key', leaf.raw(authority.pem, other.private), \
        'the private key does not belong to the certificate (CN=www.a.org)'
    yield 'order', {'publicCertificate': authority.pem + leaf.pem,
                    'privateKey': leaf.private}, \
        'the private key is that of certificate 2 of the chain'
    yield 'chain', leaf.raw(other.pem), \
        'certificate 1 (CN=www.a.org) was not signed by certificate 2'
    yield 'expired', tls.Issued('a.org', days=-1).raw(), 'expired on 20'
    yield 'locked', leaf.raw('', leaf.locked()), 'locked by a passphrase'
    yield 'weak', tls.Issued('a.org', bits=1024).raw(), 'key too small'
    yield 'pem', {'publicCertificate': 'hello', 'privateKey': leaf.private}, \
        'no certificate in PEM form'
    yield 'broken', leaf.raw(leaf.pem.replace('MII', 'M!I')), \
        'certificate 2 of the chain does not read'
    yield 'no key', leaf.raw('', leaf.pem), \
        'does not read as a private key'
    yield 'names', tls.Issued('CA', authority=True).raw(), 'no name of a host'
    yield 'missing', {'publicCertificate': leaf.pem}, 'is missing'


def test_a_certificate_that_would_not_work_is_refused_with_the_reason(
        edge, authority):
    for label, raw, why in wrong(authority):
        status, answer = edge.api('POST', CERTIFICATES, {
            'certificateRawData': raw})
        assert status == 400, label
        assert why in answer['error']['message'], label


def test_the_name_asked_for_picks_the_certificate(edge, authority):
    one, two = (tls.Issued(n, by=authority) for n in ('a.org', 'b.org'))
    use(edge, 'a.org', create(edge, one, authority.pem))
    use(edge, 'b.org', create(edge, two, authority.pem))
    assert tls.shown(port(edge), 'a.org').serial_number == one.serial
    assert tls.shown(port(edge), 'b.org').serial_number == two.serial
    own = tls.shown(port(edge), 'demo.localhost')
    assert own.issuer == own.subject
    for name in 'a.org', 'b.org':
        seen = tls.ask_app(port(edge), name, '/x', trust=authority.pem)
        assert seen['text'] == 'one'
        assert headers(seen)['host'] == f'{name}:{port(edge)}'
    assert edge.get('/x', host='a.org').json()['text'] == 'one'
    for name in 'a.org', 'b.org':
        forget(edge, name)


def test_levels_below_a_wildcard_are_services_and_versions(edge):
    ident = create(edge, tls.Issued('*.w.org'))
    use(edge, '*.w.org', ident)
    use(edge, 'w.org')
    use(edge, 'special.w.org')
    use(edge, '*.deep.w.org', app='other')
    for host, text in [
            ('w.org', 'one'), ('api.w.org', 'api'), ('two.api.w.org', 'api'),
            ('one.w.org', 'one'), ('default.w.org', 'one'),
            ('special.w.org', 'one'), ('default.deep.w.org', 'other'),
            ('API.W.org', 'api')]:
        assert edge.get(host=host).json()['text'] == text, host
    for host in 'nobody.w.org', 'api.deep.w.org', 'x.api.w.org', 'x.org':
        assert edge.get(host=host).status_code == 404, host
    cert = tls.shown(port(edge), 'api.w.org')
    assert 'w.org' in cert.subject.rfc4514_string()
    for name in '*.w.org', 'w.org', 'special.w.org':
        forget(edge, name)
    forget(edge, '*.deep.w.org', 'other')
    assert edge.get(host='api.w.org').status_code == 404


def test_a_domain_belongs_to_one_application(edge):
    assert use(edge, 'Mine.org')['id'] == 'mine.org'
    status, answer = edge.api('POST', '/v1/apps/other/domainMappings',
                              {'id': 'mine.org'})
    assert status == 409
    assert 'mine.org is mapped to demo' in answer['error']['message']
    assert edge.api('POST', MAPPINGS, {'id': 'mine.org'})[0] == 409
    use(edge, 'mine.org', app='other', query='?overrideStrategy=OVERRIDE')
    assert edge.get(host='mine.org').json()['text'] == 'other'
    assert edge.api('GET', f'{MAPPINGS}/mine.org')[0] == 404
    forget(edge, 'mine.org', 'other')


@pytest.mark.parametrize('body, why', [
    ({}, 'id, the domain, is missing'),
    ({'id': 'a..org'}, 'has an empty part'),
    ({'id': 'a.*.org'}, 'letters, digits and hyphens'),
    ({'id': '10.0.0.1'}, 'is an address'),
    ({'id': '-a.org'}, 'begins or ends with a hyphen'),
    ({'id': 'a' * 64 + '.org'}, 'more than 63'),
    ({'id': 'a-dot-b.org'}, '-dot-'),
    ({'id': 'x.localhost'}, 'is below localhost'),
    ({'id': 'a.org; }'}, 'letters, digits and hyphens'),
    ({'id': 'a.org', 'sslSettings': {'certificateId': '1'}},
     'demo has no certificate "1"'),
    ({'id': 'a.org', 'sslSettings': {'sslManagementType': 'MAGIC'}},
     'AUTOMATIC or MANUAL'),
    ({'id': '*.a.org', 'sslSettings': {'sslManagementType': 'AUTOMATIC'}},
     'no certificate for a wildcard'),
])
def test_a_wrong_mapping_is_refused_with_the_reason(edge, body, why):
    status, answer = edge.api('POST', MAPPINGS, body)
    assert status == 400
    assert why in answer['error']['message']


def test_a_certificate_has_to_be_for_the_domain(edge):
    ident = create(edge, tls.Issued('c.org', '*.c.org'))
    body = {'id': 'd.org', 'sslSettings': {'certificateId': ident}}
    status, answer = edge.api('POST', MAPPINGS, body)
    assert status == 400
    assert f'certificate {ident} is for c.org and other names, and not for ' \
        'd.org' in answer['error']['message']
    use(edge, 'x.c.org', ident)
    got = edge.api('GET', f'{CERTIFICATES}/{ident}')[1]
    assert got['visibleDomainMappings'] == ['apps/demo/domainMappings/x.c.org']
    status, answer = edge.api('DELETE', f'{CERTIFICATES}/{ident}')
    assert status == 400 and 'is shown for x.c.org' in str(answer)
    status, answer = edge.api(
        'PATCH', f'{CERTIFICATES}/{ident}?updateMask=certificateRawData',
        {'certificateRawData': tls.Issued('d.org').raw()})
    assert status == 400 and 'not for x.c.org' in str(answer)
    # Without its certificate the domain shows the platform's own.
    status, op = edge.api(
        'PATCH', f'{MAPPINGS}/x.c.org?updateMask=sslSettings.certificateId',
        {'sslSettings': {'sslManagementType': 'MANUAL'}})
    assert status == 200 and 'error' not in op
    cert = tls.shown(port(edge), 'x.c.org')
    assert cert.issuer == cert.subject and 'AppScale' in str(cert.subject)
    forget(edge, 'x.c.org')


def test_a_new_certificate_loses_no_request(edge, authority):
    """Over https, each on a connection of its own, while it changes."""
    first, second = (tls.Issued('load.org', by=authority) for _ in range(2))
    ident = create(edge, first, authority.pem)
    use(edge, 'load.org', ident)
    done, failed, stop = [], [], threading.Event()
    enough = threading.Semaphore(0)

    def load():
        while not stop.is_set():
            try:
                done.append(tls.ask_app(port(edge), 'load.org', '/x',
                                        trust=authority.pem)['text'])
                enough.release()
            except Exception as e:
                failed.append(repr(e))
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()

    def more():
        for _ in range(20):
            assert enough.acquire(timeout=60 * paths.SLOWNESS)
    more()
    for issued in second, first, second:
        status, answer = edge.api(
            'PATCH', f'{CERTIFICATES}/{ident}?updateMask=certificateRawData',
            {'certificateRawData': issued.raw(authority.pem)})
        assert status == 200, answer
        assert tls.shown(port(edge), 'load.org').serial_number == issued.serial
        more()
    stop.set()
    for t in threads:
        t.join()
    assert not failed and set(done) == {'one'}
    print(f'{len(done)} requests over three new certificates, 0 failed')
    # What nobody shows any more is no file either.
    forget(edge, 'load.org')
    assert edge.api('DELETE', f'{CERTIFICATES}/{ident}')[0] == 200


def test_the_status_warns_of_a_certificate_that_ends_soon(edge):
    ident = create(edge, tls.Issued('soon.org', days=10))

    def warning():
        return [c.get('warning') for c in edge.status()['certificates']
                if c['id'] == ident]
    assert warning() == [None]      # nobody sees it
    use(edge, 'soon.org', ident)
    assert 'soon.org of demo expires on 20' in warning()[0]
    assert f'appscale certificates update {ident} --project demo' in warning()[0]
    forget(edge, 'soon.org')


def test_everything_is_there_after_a_restart_and_gone_with_its_project(
        machine, authority):
    machine.up()
    machine.deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    issued = tls.Issued('r.org', by=authority)
    use(machine, 'r.org', create(machine, issued, authority.pem))
    assert machine.down() == 0
    shutil.rmtree(os.path.join(machine.root, 'run', 'tls'))
    machine.up().ready()
    seen = tls.ask_app(port(machine), 'r.org', trust=authority.pem)
    assert seen['text'] == 'one'
    status, op = machine.api('DELETE', '/v1/apps/demo')
    machine.finish(op)
    assert len(machine.status()['certificates']) == 1
    machine.deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    assert machine.api('GET', MAPPINGS)[1] == {'domainMappings': []}
    assert machine.api('GET', CERTIFICATES)[1] == {'certificates': []}
