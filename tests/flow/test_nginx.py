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


# ---- static files ----

def static(url, path, upload=None, **more):
    """A handler; keywords of staticFiles, but for those of the handler."""
    own = {k: more.pop(k) for k in ('login', 'authFailAction',
                                    'securityLevel') if k in more}
    files = {'path': path, **more}
    if upload:
        files['uploadPathRegex'] = upload
    return {'urlRegex': url, 'staticFiles': files, **own}


FILES = {
    'd/a.css': 'body {}', 'd/sub/b.html': '<p>', 'd/noext': 'n', 'd/a b': 's',
    'd/big.txt': 'x' * 5000, 'd/big.png': 'x' * 5000, 'd/.hidden': 'h',
    'd/A.JPG': 'j', 'd/f.mjs': 'm', 'd/w.webp': 'w', 'd/f.dart': 'd',
    'd/g.gss': 'g', 'd/n.ng': 'n', 'd/t.ttf': 't', 'd/f.woff2': 'w',
    'c++/x.txt': 'plus', 'img/1.png': 'one', 'secret.py': 'secret = 1',
    'r/one.txt': 'r1', 'q/two.txt': 'q2', 'ä.txt': 'ae', '100%.txt': 'pct',
    'q?m.txt': 'mark', 'd/$x.txt': 'dollar',
}

HANDLERS = [
    static('/s/(.*)', 'd/\\1', 'd/(.*)'),
    static('/plus/(.*)', 'c++/\\1', 'c++/(.*)'),
    static('/i/([0-9]+)\\.(p)ng', 'img/\\1.\\2ng', 'img/.*\\.png'),
    static('/([^/]*\\.(?:py|txt))', '\\1', '.*\\.txt'),
    static('/long', 'd/a.css', expiration='691200s'),
    static('/mine', 'd/a.css', mimeType='text/x-mine'),
    static('/hdr', 'd/big.txt', httpHeaders={
        'X-A': 'a $1 "q" \\1', 'ETag': '"fixed"', 'Content-Type': 'text/x-h',
        'Cache-Control': 'no-store'}),
    static('/exp', 'd/a.css', httpHeaders={
        'Expires': 'Fri, 01 Jan 1990 00:00:00 GMT'}),
    static('/req/(.*)', 'r/\\1', 'r/(.*)', requireMatchingFile=True),
    static('/re(.*)', 'q\\1', requireMatchingFile=True),
    static('/req/three.txt', 'd/a.css'),
    static('/re.*l\\.txt', 'nowhere.txt'),
    static('.*\\.loop', 'none', requireMatchingFile=True),
    static('/in/(.*)', 'd/\\1', login='LOGIN_REQUIRED'),
    static('/un/(.*)', 'd/\\1', login='LOGIN_ADMIN',
           authFailAction='AUTH_FAIL_ACTION_UNAUTHORIZED'),
    static('/d', 'd'),
    {'urlRegex': '/boss(/.*)?', 'login': 'LOGIN_ADMIN',
     'script': {'scriptPath': 'auto'}},
]


@pytest.fixture(scope='module')
def files():
    e = Edge({'p': {'services': {'default': service({
        'id': 'v', 'handlers': HANDLERS,
        'inboundServices': ['INBOUND_SERVICE_WARMUP']})}}},
        {'p/default/v': FILES})
    yield e
    e.close()


@pytest.mark.parametrize('path, want', [
    ('/s/a.css', 'body {}'), ('/s/sub/b.html', '<p>'), ('/s/noext', 'n'),
    ('/s/a%20b', 's'), ('/s/%61.css', 'body {}'), ('/s/.hidden', 'h'),
    ('/s/$x.txt', 'dollar'), ('/s/a.css?x=1', 'body {}'),
    ('/plus/x.txt', 'plus'), ('/i/1.png', 'one'), ('/%C3%A4.txt', 'ae'),
    ('/100%25.txt', 'pct'), ('/q%3Fm.txt', 'mark'),
    ('/s/', 404), ('/s/none', 404), ('/s/sub', 404), ('/s/sub/', 404),
    ('/s//a.css', 404), ('/s/sub//b.html', 404), ('/s//etc/passwd', 404),
    ('/s/a.css/', 404), ('/s/a.css%00', 400), ('/d', 404), ('/i/2.png', 404),
    ('/secret.py', 404),                        # not among the uploads
    ('/s', 'app'), ('/S/a.css', 'app'), ('/i/x.png', 'app'),
    ('/long/', 'app'), ('/longer', 'app'), ('/x/long', 'app'), ('/', 'app'),
    ('/s%2Fa.css', 'body {}'),
    ('/req/one.txt', 'r1'), ('/req//one.txt', 'app'), ('/re/two.txt', 'q2'),
    ('/req/three.txt', 'body {}'), ('/req/none', 'app'), ('/req/', 'app'),
    ('/req/all.txt', 404), ('/x.loop', 'app'), ('/req/a%3Fb', 'app'),
    ('/8/req/one.txt', 'app'), ('/req/sp%20ace?q=1', 'app'),
])
def test_a_path_finds_its_file(files, path, want):
    answer = files.ask(path)
    if want == 'app':
        assert answer.json()['path'] == path
    elif want in (400, 404):
        assert answer.status_code == want
        assert answer.headers['Content-Type'].startswith('text/html')
    else:
        assert (answer.status_code, answer.text) == (200, want)
        assert files.seen[-1:] != [path]        # no instance was asked


@pytest.mark.parametrize('name, want', [
    ('a.css', 'text/css'), ('sub/b.html', 'text/html'),
    ('noext', 'application/octet-stream'), ('A.JPG', 'image/jpeg'),
    ('f.mjs', 'text/javascript'), ('w.webp', 'image/webp'),
    ('f.dart', 'application/dart'), ('g.gss', 'text/css'),
    ('n.ng', 'text/html'), ('t.ttf', 'application/x-font-ttf'),
    ('f.woff2', 'application/font-woff2')])
def test_the_type_is_that_of_the_extension(files, name, want):
    assert files.ask(f'/s/{name}').headers['Content-Type'] == want


def test_headers_of_a_static_file(files):
    plain = files.ask('/s/a.css').headers
    assert plain['Cache-Control'] == 'max-age=600, public'
    assert 'Expires' in plain
    assert re.fullmatch('"[^"]+"', plain['ETag'])
    assert 'Set-Cookie' not in plain
    assert 'max-age=691200' in files.ask('/long').headers['Cache-Control']
    assert files.ask('/mine').headers['Content-Type'] == 'text/x-mine'
    own = files.ask('/hdr').headers
    assert own['X-A'] == 'a $1 "q" \\1'
    assert own['ETag'] == '"fixed"'
    assert own['Content-Type'] == 'text/x-h'
    assert own['Cache-Control'] == 'no-store'
    assert 'Expires' not in own
    own = files.ask('/exp').headers
    assert own['Expires'] == 'Fri, 01 Jan 1990 00:00:00 GMT'
    assert own['Cache-Control'] == 'public, max-age=600'


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH',
                                    'OPTIONS', 'PROPFIND'])
def test_any_method_gets_the_file(files, method):
    for body in None, 'x' * 100000:
        answer = files.ask('/s/a.css', method=method, data=body)
        assert (answer.status_code, answer.text) == (200, 'body {}')
        assert answer.headers['Content-Type'] == 'text/css'
        assert 'public' in answer.headers['Cache-Control']
    assert files.ask('/s/none', method=method).status_code == 404
    assert files.ask('/re/two.txt', method=method).text == 'q2'
    assert files.ask('/req/none', method=method).json()['method'] == method


def test_head_has_no_body(files):
    answer = files.ask('/s/a.css', method='HEAD')
    assert (answer.status_code, answer.text) == (200, '')
    assert answer.headers['Content-Length'] == '7'


def test_conditions_are_kept(files):
    tag = files.ask('/s/a.css').headers['ETag']

    def status(path='/s/a.css', **headers):
        return files.ask(path, headers={
            k.replace('_', '-'): v for k, v in headers.items()}).status_code
    for matches in tag, f'W/{tag}', f'"x", {tag}', f'W/"x",W/{tag}', '*':
        assert status(If_None_Match=matches) == 304, matches
    assert status(If_None_Match='"x"') == 200
    assert status(If_Match=tag) == 200
    assert status(If_Match=f'"x", {tag}') == 200
    assert status(If_Match='*') == 200
    assert status(If_Match='"x"') == 412
    assert status('/s/none', If_Match='"x"') == 412
    kept = files.ask('/s/a.css', headers={'If-None-Match': tag})
    assert kept.headers['ETag'] == tag
    assert kept.text == ''


def test_a_part_of_a_file(files):
    part = files.ask('/s/a.css', headers={'Range': 'bytes=1-3'})
    assert (part.status_code, part.text) == (206, 'ody')
    assert part.headers['Content-Range'] == 'bytes 1-3/7'
    part = files.ask('/s/a.css', headers={'Range': 'bytes=9-'})
    assert part.status_code == 416


def test_text_is_compressed_and_pictures_are_not(files):
    def encoding(path, accept):
        headers = files.ask(path, headers={'Accept-Encoding': accept}).headers
        return headers.get('Content-Encoding'), headers.get('Vary')
    assert encoding('/s/big.txt', 'gzip') == ('gzip', 'Accept-Encoding')
    assert encoding('/s/big.txt', 'identity') == (None, 'Accept-Encoding')
    assert encoding('/s/big.png', 'gzip') == (None, None)


def test_a_static_file_asks_who_it_is_only_where_it_must(files):
    files.seen.clear()
    cookie = {'Cookie': 'appscale_session=ann'}
    assert files.ask('/s/a.css', headers=cookie).text == 'body {}'
    assert files.seen == []
    assert files.ask('/').json()['headers'].get('x-appscale-user-email') is None
    assert files.seen == ['/']
    assert files.ask('/', headers=cookie).json()['headers'][
        'x-appscale-user-email'] == 'ann'


def test_who_may_pass(files):
    ann = {'Cookie': 'appscale_session=ann'}
    boss = {'Cookie': 'appscale_session=boss'}
    out = files.ask('/in/a.css')
    assert out.status_code == 302
    assert out.headers['Location'].endswith('/_ah/login?continue=here')
    assert files.ask('/in/a.css', method='POST').status_code == 302
    assert files.ask('/in/a.css', headers=ann).text == 'body {}'
    assert files.ask('/in/none', headers=ann).status_code == 404
    assert files.ask('/in/a.css', method='POST', headers=ann).text == 'body {}'
    out = files.ask('/un/a.css')
    assert (out.status_code, out.text) == (401, 'Login required to view page.')
    assert out.headers['Content-Type'] == 'text/html'
    assert out.headers['Cache-Control'] == 'no-cache'
    assert files.ask('/un/a.css', headers=ann).status_code == 403
    assert files.ask('/un/a.css', headers=boss).text == 'body {}'
    assert files.ask('/boss').status_code == 302
    assert files.ask('/boss/x', headers=ann).status_code == 403
    assert files.ask('/boss/x', headers=boss).json()['path'] == '/boss/x'
    assert files.ask('/_ah/warmup').status_code == 302
    assert files.ask('/_ah/warmup', headers=boss).status_code == 200
    assert files.ask('/_ah/start', headers=boss).status_code == 404
    assert files.ask('/_appscale_auth').json()['path'] == '/_appscale_auth'


@pytest.mark.parametrize('path, want', [
    ('/s/../secret.py', '/secret.py'), ('/./a', '/a'), ('/a/.', '/a/'),
    ('/a/..', '/'), ('/a/%2e%2E/b?x=%20/../y', '/b?x=%20/../y'),
    ('/a/%2e./b', '/b'), ('/s/../a%20b%0d%0aX-Y:%20z', '/a%20b%0D%0AX-Y:%20z'),
    ('//x.example/./y', '//x.example/y'), ('/a/./?', '/a/'),
    ('/s/../%23%25', '/%23%25'),
    ('/a/...', None), ('/a/.b', None), ('/a/b..', None), ('/a?/../b', None),
    ('/a//b', None), ('/%2e', '/'), ('/a/x%2F..%2Fb', None),
    ('/a/../b%3Fc', None)])
def test_dots_in_a_path_are_resolved_for_the_client(files, path, want):
    answer = files.ask(path, host='p.localhost:99')
    if want is None:
        assert answer.json()['path'] == path
    else:
        assert answer.status_code == 302
        assert answer.headers['Location'] == 'http://p.localhost:99' + want
        assert 'X-Y' not in answer.headers


# ---- errors, traces, sockets ----

PAGES = [{'errorCode': 'ERROR_CODE_DEFAULT', 'staticFile': 'err/oops.txt'},
         {'errorCode': 'ERROR_CODE_TIMEOUT', 'staticFile': 'err/$late.html',
          'mimeType': 'text/x-late'}]


def says(status, body='its own', **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace('_', '-'), value)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())
    return answer


def test_the_platforms_errors_get_the_pages_of_the_application(edges):
    edge = edges({'default': service(
        {'id': 'v', 'errorHandlers': PAGES, 'handlers': [
            {'urlRegex': '/in', 'login': 'LOGIN_REQUIRED',
             'script': {'scriptPath': 'auto'}}]}, 'w')},
        {'p/default/v': {'err/oops.txt': 'oops', 'err/$late.html': 'late'}})
    for status in 500, 502, 503, 504:
        edge.says['/own'] = says(status)
        answer = edge.ask('/own', method='POST')
        assert (answer.status_code, answer.text) == (status, 'its own')
    for name, status, text, kind in [
            ('unavailable', 503, 'oops', 'text/html'),
            ('cut', 502, 'oops', 'text/html'),
            ('timeout', 504, 'late', 'text/x-late')]:
        edge.says['/page'] = says(status, X_Accel_Redirect='/.p/default/v:' +
                                  name)
        answer = edge.ask('/page', method='POST')
        assert (answer.status_code, answer.text) == (status, text)
        assert answer.headers['Content-Type'] == kind
    for path in '/.p/default/v:cut', '/.p/default/v:default':
        assert edge.ask(path).json()['path'] == path
    edge.stop_stub()
    answer = edge.ask('/x')
    assert (answer.status_code, answer.text) == (502, 'oops')
    answer = edge.ask('/x', host='w.p.localhost')
    assert answer.status_code == 502
    assert 'starting this part again' in answer.text


TRACE = '0123456789abcdef0123456789ABCDEF'


@pytest.mark.parametrize('header, value, kept', [
    ('X-Cloud-Trace-Context', TRACE, True),
    ('X-Cloud-Trace-Context', f'{TRACE}/12;o=1', True),
    ('X-Cloud-Trace-Context', f'{TRACE};o=0', True),
    ('X-Cloud-Trace-Context', f'{TRACE}0', False),
    ('X-Cloud-Trace-Context', '0' * 32 + '/1', False),
    ('X-Cloud-Trace-Context', 'x' * 32, False),
    ('Traceparent', f'00-{TRACE.lower()}-0123456789abcdef-01', True),
    ('Traceparent', f'00-{"0" * 32}-0123456789abcdef-01', False),
    ('Traceparent', f'00-{TRACE.lower()}', False),
    ('X-Appscale-Trace', TRACE, False)])
def test_the_trace_of_a_client_goes_on(files, header, value, kept):
    answer = files.ask(headers={header: value})
    trace = answer.json()['headers']['x-appscale-trace']
    assert (trace.lower() == TRACE.lower()) == kept
    assert re.fullmatch('[0-9a-fA-F]{32}', trace)
    assert answer.headers['X-Cloud-Trace-Context'] == trace
    if not kept:
        assert trace == answer.json()['headers']['x-appscale-request']


def test_a_web_socket_passes(files):
    def upgrade(handler):
        assert handler.headers['Connection'] == 'upgrade'
        handler.send_response(101)
        handler.send_header('Upgrade', handler.headers['Upgrade'])
        handler.send_header('Connection', 'upgrade')
        handler.end_headers()
        while (data := handler.rfile.readline()) != b'end\n':
            handler.wfile.write(data.upper())
        handler.close_connection = True
    files.says['/socket'] = upgrade
    with files.connect() as s, s.makefile('rwb') as f:
        f.write(b'GET /socket HTTP/1.1\r\nHost: p.localhost\r\n'
                b'Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n')
        f.flush()
        assert b' 101 ' in f.readline()
        while f.readline() != b'\r\n':
            pass
        for line in b'hello\n', b'there\n':
            f.write(line)
            f.flush()
            assert f.readline() == line.upper()
        f.write(b'end\n')
        f.flush()
        assert f.read() == b''
    seen = files.ask(headers={'Upgrade': 'h2c', 'Connection': 'Upgrade'})
    assert not {'upgrade', 'connection'} & seen.json()['headers'].keys()


def test_headers_have_a_limit(files):
    assert files.ask(headers={'X-A': 'x' * 9000, 'X-B': 'x' * 9000}).json()
    assert files.ask('/' + 'x' * 9000).json()
    assert files.ask(headers={'X-A': 'x' * 11000}).status_code == 400
    assert files.ask('/' + 'x' * 11000).status_code == 414


def test_who_sent_it_is_added_to_who_passed_it_on(files):
    seen = files.ask(headers={'X-Forwarded-For': '1.2.3.4',
                              'Forwarded': 'for="1.2.3.4"'}).json()['headers']
    assert seen['x-forwarded-for'] == '1.2.3.4, 127.0.0.1, 169.254.1.1'
    assert seen['forwarded'] == \
        'for="1.2.3.4",for="127.0.0.1";proto=http'
    seen = files.ask().json()['headers']
    assert seen['x-forwarded-for'] == '127.0.0.1, 169.254.1.1'
    assert seen['forwarded'] == 'for="127.0.0.1";proto=http'


def test_a_stopped_version_is_asleep_with_its_files(edges):
    edge = edges({'default': service('v', {
        'id': 'w', 'servingStatus': 'STOPPED', 'handlers': [
            static('/s', 'a.css')]})}, {'p/default/w': {'a.css': ''}})
    for path in '/', '/s', '/_ah/x':
        answer = edge.ask(path, host='w.p.localhost')
        assert answer.status_code == 503
        assert 'This version is stopped' in answer.text
        assert answer.headers['Content-Type'] == 'text/html'
