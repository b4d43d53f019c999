"""Certificates that an ACME server signs: dehydrated, pebble, our edge."""
import contextlib
import datetime

import pytest

from flow import apps
from flow.machine import Machine
from flow.test_scaling import until
from lib import paths, tls
from lib.acme import Pebble
from lib.ports import free_port

MAPPINGS = '/v1/apps/demo/domainMappings'
AUTOMATIC = {'sslManagementType': 'AUTOMATIC'}


@pytest.fixture(scope='module')
def pebble(tmp_path_factory):
    server = Pebble(str(tmp_path_factory.mktemp('pebble')), free_port())
    yield server
    server.close()


@contextlib.contextmanager
def machine_for(root, cache, pebble):
    m = Machine(root, cache, http_port=pebble.http_port,
                acme_directory=pebble.directory, acme_ca=pebble.ca)
    try:
        m.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
        m.ready()
        yield m
    finally:
        m.erase()


@pytest.fixture(scope='module')
def edge(tmp_path_factory, cache, pebble):
    with machine_for(tmp_path_factory.mktemp('machine'), cache, pebble) as m:
        yield m


def change(m, method, path, body=None):
    """One at a time: a certificate may just have come."""
    def begun():
        status, op = m.api(method, path, body)
        assert status in (200, 409), op
        return op if status == 200 else None
    m.finish(until(begun))


def add(m, domain, **settings):
    change(m, 'POST', MAPPINGS, {'id': domain, **settings})


def mapping(m, domain):
    return m.api('GET', f'{MAPPINGS}/{domain}')[1]


def test_a_domain_gets_its_certificate_by_itself(edge):
    add(edge, 'shop.example.org', sslSettings=AUTOMATIC)
    until(lambda: mapping(edge, 'shop.example.org')['acme']['state'] == 'OK')
    until(lambda: 'Pebble' in tls.shown(
        edge.settings['https_port'],
        'shop.example.org').issuer.rfc4514_string())
    assert edge.get(host='shop.example.org').json()['text'] == 'one'
    listed = edge.api('GET', '/v1/apps/demo/authorizedCertificates')[1]
    assert [c['domainNames'] for c in listed['certificates']] == [
        ['shop.example.org']]
    # It goes with the domain it was made for.
    change(edge, 'DELETE', f'{MAPPINGS}/shop.example.org')
    assert edge.api('GET', '/v1/apps/demo/authorizedCertificates')[1][
        'certificates'] == []


def test_a_failure_is_told_with_its_reason(edge, pebble):
    pebble.lose('lost.example.org')
    add(edge, 'lost.example.org', sslSettings=AUTOMATIC)
    until(lambda: mapping(edge, 'lost.example.org')['acme']['state'] ==
          'FAILING')
    told = mapping(edge, 'lost.example.org')['acme']
    assert told['failures'] == 1 and told['nextTime'] > told['lastTime']
    assert 'lost.example.org' in told['reason']
    # Browsers see the platform's own meanwhile, and the application goes on.
    assert edge.get(host='lost.example.org').json()['text'] == 'one'


def test_an_app_answers_challenges_of_domains_that_are_not_automatic(edge):
    add(edge, 'own.example.org',
        sslSettings={'sslManagementType': 'MANUAL'})
    path = '/.well-known/acme-challenge/abc'
    assert edge.get(path, host='own.example.org').json()['path'] == path


def test_a_certificate_is_renewed_before_it_ends(tmp_path, cache):
    """When a third of its time is left, again and again, and the one before
    goes: nobody ever sees one that has ended."""
    life = 24 * paths.SLOWNESS
    with contextlib.closing(Pebble(str(tmp_path), free_port(), life)) as server:
        with machine_for(tmp_path / 'root', cache, server) as m:
            def serial():
                shown = tls.shown(m.settings['https_port'], 'shop.example.org')
                assert shown.not_valid_after_utc > datetime.datetime.now(
                    datetime.timezone.utc)
                return shown.serial_number
            own = serial()
            add(m, 'shop.example.org', sslSettings=AUTOMATIC)
            first = until(lambda: serial() != own and serial())
            second = until(lambda: serial() != first and serial())
            until(lambda: serial() not in (first, second))
            listed = m.api('GET', '/v1/apps/demo/authorizedCertificates')[1]
            assert len(listed['certificates']) == 1
            assert mapping(m, 'shop.example.org')['acme']['failures'] == 0
