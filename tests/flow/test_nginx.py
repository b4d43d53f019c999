"""nginx on a written model: names, dispatch rules, traffic, handlers."""
import collections
import contextlib
import re

import pytest

from lib.edge import Edge

APP = {'urlRegex': '/.*', 'script': {'scriptPath': 'auto'}}


def service(*versions, **doc):
    """Versions by id or as documents; the first has the traffic."""
    docs = [v if isinstance(v, dict) else {'id': v} for v in versions]
    return {'split': {'allocations': {docs[0]['id']: 1}}, **doc,
            'versions': docs}


def split(by, **shares):
    return {'split': {'shardBy': by, 'allocations': shares}}


@pytest.fixture
def edges():
    """Makes edges that end with the test."""
    with contextlib.ExitStack() as stack:
        def make(services, files=None, **app):
            e = Edge({'p': {**app, 'services': services}}, files)
            stack.callback(e.close)
            return e
        yield make


# ---- dispatch.yaml ----

RULES = [('*', '/favicon.ico', 'web'),
         ('mobile.example.com', '/*', 'web'),
         ('*.p.localhost', '/sub/*', 'web'),
         ('*-dot-p.localhost', '/dashed', 'web'),
         ('p.localhost', '/api/*', 'api'),
         ('p.localhost', '/a.c', 'api'),
         ('*', '/deep/*', 'api'),
         ('*', '/_ah/*', 'web'),
         ('*', '/deep/never', 'web')]


def test_dispatch_rules_choose_the_service(edges):
    edge = edges({'default': service('v1', 'v2'), 'api': service('a1', 'a2'),
                  'web': service('w1')},
                 dispatchRules=[{'domain': d, 'path': p, 'service': s}
                                for d, p, s in RULES])
    for host, path, want in [
            ('p', '/', 'default/v1'),
            ('p', '/favicon.ico', 'web/w1'),
            ('api.p', '/favicon.ico', 'web/w1'),
            ('p', '/favicon.ico2', 'default/v1'),
            ('p', '/favicon.ico?a', 'web/w1'),
            ('p', '/api/x', 'api/a1'),
            ('p', '/api', 'default/v1'),
            ('p', '/a.c', 'api/a1'),
            ('p', '/abc', 'default/v1'),
            ('p', '/sub/x', 'default/v1'),
            ('web.p', '/sub/', 'web/w1'),
            ('api.p', '/sub/', 'web/w1'),
            ('v2.p', '/sub/x', 'web/w1'),
            ('v2.p', '/', 'default/v2'),
            ('nobody.p', '/sub/x', 'web/w1'),
            ('api.p', '/dashed', 'web/w1'),
            ('web.p', '/api/x', 'web/w1'),
            ('web.p', '/deep/x', 'api/a1'),
            ('web.p', '/deep/never', 'api/a1'),
            ('a2.api.p', '/deep/x', 'api/a2'),       # named in full
            ('a2.api.p', '/favicon.ico', 'api/a2'),
            ('p', '/_ah/x', 'default/v1'),           # the platform's
            ('p', '/_ah/queue/deferred', 'web/w1'),
            ('p', '/_ah/queue/x', 'default/v1'),
            ('p', '/_ah/api/x', 'web/w1')]:
        for dot in '.', '-dot-':
            name = host.replace('.', dot) + '.localhost'
            assert edge.backend(path, name) == want, (name, path)


# ---- traffic ----

def shares(edge, n, ask):
    """Of `n` answers, how many each version gave, in hundredths."""
    seen = collections.Counter(ask(i) for i in range(n))
    return {v.partition('/')[2]: 100 * c / n for v, c in seen.items()}


def test_traffic_by_address_stays_with_the_address(edges):
    edge = edges({'default': service(
        'a', 'b', 'c', **split('IP', a=0.2, b=0.5, c=0.3))})

    def ask(i):
        text = edge.raw('GET / HTTP/1.1\r\nHost: p.localhost\r\n'
                        'Connection: close\r\n\r\n', f'127.0.{i // 250}.'
                        f'{i % 250 + 1}')
        return re.search('p:(default:.)', text).group(1).replace(':', '/')
    first = [ask(i) for i in range(400)]
    assert [ask(i) for i in range(400)] == first
    got = {v[-1]: n / 4 for v, n in collections.Counter(first).items()}
    assert abs(got['a'] - 20) < 10
    assert abs(got['b'] - 50) < 10


def test_traffic_by_chance_follows_the_shares(edges):
    edge = edges({'default': service(
        'a', 'b', **split('RANDOM', a=0.25, b=0.75)),
        'web': service('w', 'x', **split('RANDOM', w=0.0004, x=0.9996))})
    got = shares(edge, 600, lambda i: edge.backend())
    assert abs(got['a'] - 25) < 9
    assert edge.backend(host='a.p.localhost') == 'default/a'
    assert edge.backend(host='a.default.p.localhost') == 'default/a'
    assert edge.ask().headers.get('Set-Cookie') is None


COOKIE_SHARES = {'a': 0.253, 'b': 0.001, 'c': 0.446, 'd': 0.3}


@pytest.mark.parametrize('cookie, want', [
    ('0', 'a'), ('00', 'a'), ('7', 'a'), ('99', 'a'), ('100', 'a'),
    ('199', 'a'), ('200', 'a'), ('249', 'a'), ('250', 'a'), ('252', 'a'),
    ('253', 'b'), ('254', 'c'), ('260', 'c'), ('300', 'c'), ('699', 'c'),
    ('700', 'd'), ('999', 'd'), ('0999', 'd')])
def test_the_number_of_the_cookie_chooses(cookie_split, cookie, want):
    answer = cookie_split.ask(headers={
        'Cookie': f'x=1; GOOGAPPUID={cookie}'})
    assert f':{want}:' in answer.json()['headers']['x-appscale-backend']
    assert 'Set-Cookie' not in answer.headers


@pytest.fixture(scope='module')
def cookie_split():
    ids = [{'id': v, 'handlers': [
        {'urlRegex': '/s', 'staticFiles': {'path': 's.txt'}}]}
        for v in 'dbca']
    e = Edge({'p': {'services': {'default': service(
        *ids, **split('COOKIE', **COOKIE_SHARES)), 'web': service('w')}}},
        {f'p/default/{v}': {'s.txt': v} for v in 'abcd'})
    yield e
    e.close()


def test_another_cookie_chooses_by_its_hash(cookie_split):
    def ask(i):
        return cookie_split.backend(headers={'Cookie': f'GOOGAPPUID=xCg{i}'})
    first = [ask(i) for i in range(300)]
    assert [ask(i) for i in range(300)] == first
    got = collections.Counter(first)
    assert 45 < got['default/a'] < 105
    assert 60 < got['default/d'] < 120


def test_who_has_no_cookie_gets_one_and_stays(cookie_split):
    got = collections.Counter()
    for _ in range(400):
        answer = cookie_split.ask()
        version = answer.json()['headers']['x-appscale-backend']
        number = answer.cookies['GOOGAPPUID']
        assert re.fullmatch('[0-9]{3}', number)
        again = cookie_split.ask(headers={'Cookie': f'GOOGAPPUID={number}'})
        assert again.json()['headers']['x-appscale-backend'] == version
        got[version.split(':')[2]] += 1
    assert abs(got['a'] / 4 - 25) < 10
    assert abs(got['d'] / 4 - 30) < 10


def test_the_cookie_is_given_only_where_it_decides(cookie_split):
    assert 'GOOGAPPUID' in cookie_split.ask('/s').cookies
    for host in 'web.p', 'a.p', 'a.default.p':
        answer = cookie_split.ask(host=f'{host}.localhost')
        assert 'Set-Cookie' not in answer.headers

    def own(handler):
        handler.send_response(200)
        handler.send_header('Set-Cookie', 'GOOGAPPUID=mine')
        handler.send_header('Content-Length', '0')
        handler.end_headers()
    cookie_split.says['/own'] = own
    assert cookie_split.ask('/own').headers['Set-Cookie'] == 'GOOGAPPUID=mine'
