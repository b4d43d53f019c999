"""The edge: which version a request is for, and what nginx does with it."""
import pytest

from flow import apps
from flow.machine import Machine


def edge_app(m, service, version, query='', **more):
    m.deploy('edge', version, apps.server(f'{service}/{version}'),
             service=service, query=query, **apps.PLAIN, **more)


@pytest.fixture(scope='module')
def edge(tmp_path_factory, cache):
    """A machine with the app `edge`: services default, api and 2."""
    m = Machine(tmp_path_factory.mktemp('machine'), cache).up()
    edge_app(m, 'default', 'v1')
    edge_app(m, 'default', 'v2', '?promote=false')
    edge_app(m, 'default', '5', '?promote=false')
    edge_app(m, 'api', 'v1', manualScaling={'instances': 2})
    edge_app(m, 'api', '1', '?promote=false')
    edge_app(m, '2', 'x')
    yield m
    m.erase()


def who(m, host, path='/', **kwargs):
    return m.get(path, host=host, **kwargs).json()['text']


@pytest.mark.parametrize('name, want', [
    ('edge', 'default/v1'),
    ('EDGE', 'default/v1'),
    ('v1.default.edge', 'default/v1'),
    ('v2.default.edge', 'default/v2'),
    ('default.edge', 'default/v1'),
    ('v2.edge', 'default/v2'),
    ('api.edge', 'api/v1'),
    ('1.api.edge', 'api/1'),            # a version before an instance
    ('0.api.edge', 'api/v1'),           # an instance
    ('0.v1.api.edge', 'api/v1'),
    ('1.v1.api.edge', 'api/v1'),
    ('2.v1.api.edge', 'default/v1'),    # no such instance
    ('2.edge', '2/x'),                  # a service before a version
    ('5.edge', 'default/5'),
    ('0.edge', 'default/v1'),           # automatic scaling: nobody's name
    ('nobody.edge', 'default/v1'),
    ('v9.api.edge', 'default/v1'),
    ('v1.nobody.edge', 'default/v1'),
    ('a.b.c.d.e.edge', 'default/v1'),
])
def test_a_host_name_means_a_version(edge, name, want):
    assert who(edge, f'{name}.localhost') == want
    assert who(edge, name.replace('.', '-dot-') + '.localhost') == want
    assert who(edge, f'{name}.localhost:8080') == want


def test_a_name_may_mean_one_instance(edge):
    def life(i):
        return edge.get(host=f'{i}-dot-v1-dot-api-dot-edge.localhost').json()[
            'life']
    first, second = life(0), life(1)
    assert first != second
    assert [life(0), life(1)] * 3 == [first, second] * 3


@pytest.mark.parametrize('path', [
    '/', '/a%20b', '/a%2Fb?c=%20d&e', '/%C3%A4', '/x//y//', '/a%3Fb%23', '/a+b',
    '/.edge/api/v1:/', '/.edge/default/v2:/x', '/x;y=1', '/_ah/x', '/%25'])
def test_the_application_gets_the_path_as_it_was_sent(edge, path):
    seen = edge.get(path, host='edge.localhost').json()
    assert (seen['text'], seen['path']) == ('default/v1', path)


OWN_ERRORS = '''
    def do_POST(self):
        if self.path == "/die":
            os._exit(1)
        self.send_response(503)
        self.send_header("X-Accel-Redirect", "/.errors/default/v:cut")
        self.send_header("X-Appscale-Error", "cut")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"mine")
'''


def test_haproxys_errors_get_the_page_of_the_application(edge):
    files = apps.server('errors')
    files['server.py'] = files['server.py'].replace(
        '    def log_message', OWN_ERRORS + '\n    def log_message')
    edge.deploy('errors', 'v', {**files, 'oops.html': 'oops'}, **apps.PLAIN,
                errorHandlers=[{'staticFile': 'oops.html'}])

    def post(path):
        return edge.post(path, host='errors.localhost')
    own = post('/own')
    assert (own.status_code, own.text) == (503, 'mine')
    assert not {'X-Accel-Redirect', 'X-Appscale-Error'} & own.headers.keys()
    died = post('/die')
    assert (died.status_code, died.text) == (502, 'oops')
    edge.finish(edge.api('DELETE', '/v1/apps/errors')[1])


def test_a_trace_goes_through_to_the_application(edge):
    trace = '0123456789ABCDEF' * 2
    answer = edge.get(host='edge.localhost', headers={
        'X-Cloud-Trace-Context': f'{trace}/1;o=1'})
    seen = {k.lower(): v for k, v in answer.json()['headers']}
    trace = trace.lower()
    assert seen['x-cloud-trace-context'].startswith(f'{trace}/')
    assert seen['x-cloud-trace-context'].endswith(';o=1')
    assert seen['traceparent'].startswith(f'00-{trace}-')
    assert trace not in seen['x-appengine-api-ticket']
    assert answer.headers['X-Cloud-Trace-Context'].lower() == trace


def test_headers_up_to_the_limit_reach_the_application(edge):
    answer = edge.get('/' + 'p' * 9000, host='edge.localhost',
                      headers={'X-A': 'a' * 9000})
    assert answer.status_code == 200
