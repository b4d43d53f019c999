"""Push tasks on the platform: through haproxy to instances, over kills.

The test is the app's own caller: it takes a ticket from a request and adds
tasks with it; the instance writes down what reaches it.
"""
import json
import os
import time

import pytest
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb

from flow.test_logs import asked
from lib import paths, rpc

# `/hang/...` answers only once the folder holds a file `go`.
SERVER = '''
import http.server, json, os, time

folder = os.environ["SEEN"]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        line = json.dumps({"path": self.path, "version": "VERSION",
                           "headers": self.headers.items()})
        with open(os.path.join(folder, "seen"), "a") as f:
            f.write(line + "\\n")
        while self.path.startswith("/hang") and \\
                not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.05)
        self.reply(b"")

    def do_GET(self):
        self.reply(json.dumps(self.headers.items()).encode())

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

QUEUES = '''
queue:
- name: default
  rate: 500/s
- name: aimed
  rate: 500/s
  target: worker
- name: gone
  rate: 500/s
  target: three.worker
'''


class App:
    """The app `demo` on a machine, and what its instances have seen."""

    def __init__(self, machine, folder):
        self.machine, self.folder = machine, str(folder)
        self.client = None

    def deploy(self, version, project='demo', **kwargs):
        self.machine.deploy(
            project, version,
            {'server.py': SERVER.replace('VERSION', f'{project}/{version}')},
            entrypoint={'shell': 'python server.py'},
            envVariables={'SEEN': self.folder}, **kwargs)

    def ticket(self):
        headers = dict(self.machine.get().json())
        return {k.lower(): v for k, v in headers.items()}[
            'x-appengine-api-ticket']

    def connect(self):
        self.client = rpc.Client('127.0.0.1',
                                 self.machine.settings['api_port'],
                                 ticket=self.ticket())

    def call(self, method, **fields):
        return self.client.call(
            'taskqueue', method, getattr(pb, f'TaskQueue{method}Request')(
                **fields), getattr(pb, f'TaskQueue{method}Response'))

    def add(self, url, queue=b'default', **fields):
        return self.call('Add', queue_name=queue, task_name=b'', eta_usec=0,
                         url=url, **fields).chosen_task_name.decode()

    def seen(self):
        try:
            with open(os.path.join(self.folder, 'seen')) as f:
                return [json.loads(line) for line in f]
        except FileNotFoundError:
            return []

    def wait(self, n, within=30):
        end = time.monotonic() + within * paths.SLOWNESS
        while len(self.seen()) < n:
            assert time.monotonic() < end, self.seen()
            time.sleep(0.02)
        return self.seen()

    def logged(self, want):
        """Wait until these POSTs are in the logs, and no other."""
        end = time.monotonic() + 30 * paths.SLOWNESS
        while (found := sorted(asked(self.machine, text='POST'))) != \
                sorted(want):
            assert time.monotonic() < end, found
            time.sleep(0.02)

    def tasks(self, queue=b'default'):
        stats = self.call('FetchQueueStats', queue_name=[queue])
        return stats.queuestats[0].num_tasks

    def finished(self, queue=b'default'):
        end = time.monotonic() + 30 * paths.SLOWNESS
        while self.tasks(queue):
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
def app(open_machine, tmp_path):
    machine = open_machine
    machine.up().ready()
    app = App(machine, tmp_path)
    app.deploy('one', handlers=[
        {'urlRegex': '/admin/.*', 'login': 'LOGIN_ADMIN',
         'script': {'scriptPath': 'auto'}},
        {'urlRegex': '/.*', 'script': {'scriptPath': 'auto'}}])
    status, answer = machine.api('PUT', '/v1/apps/demo/queues',
                                 {'queueYaml': QUEUES})
    assert (status, answer) == (200, {})
    app.connect()
    yield app
    app.client.close()


def headers_of(seen):
    headers = {}
    for name, value in seen['headers']:
        assert name.lower() not in headers, name
        headers[name.lower()] = value
    return headers


def test_a_task_reaches_an_instance_as_the_platforms_own(app):
    name = app.add(b'/work', body=b'x')
    h = headers_of(app.wait(1)[0])
    assert h['x-appengine-taskname'] == name
    assert h['x-appengine-queuename'] == 'default'
    assert h['x-appengine-user-ip'] == '0.1.0.2'
    assert h['x-appengine-timeout-ms'] == '600000'
    assert h['host'] == 'demo.localhost'
    port = app.machine.settings['http_port']
    assert h['x-appengine-default-version-hostname'] == \
        f'demo.localhost:{port}'
    # It is among the requests of the logs.
    app.logged([('default.one', '0', 'INFO', 'POST /work 200 0.1.0.2')])
    # Its ticket is the version's, so that it can call the API.
    token = h['x-appengine-api-ticket'].split('.')[0]
    assert token == app.client.ticket.split('.')[0]
    app.finished()
    assert len(app.seen()) == 1


def test_admin_handlers_take_tasks_and_refuse_strangers(app):
    app.add(b'/admin/x')
    app.wait(1)
    app.finished()
    for headers in ({}, {'X-AppEngine-QueueName': 'default',
                         'X-Appengine-TaskName': 't',
                         'X-Appscale-App': 'demo'}):
        answer = app.machine.get('/admin/x', headers=headers)
        assert answer.status_code == 302
    assert len(app.seen()) == 1


def test_targets_name_services_and_versions(app):
    app.deploy('two', service='worker')
    app.add(b'/a')
    app.add(b'/b', queue=b'aimed')
    app.add(b'/c', header=[{'key': b'Host', 'value':
                            b'two-dot-worker-dot-demo.localhost:80'}])
    app.add(b'/d', header=[{'key': b'Host', 'value': b'nobody.demo.localhost'}])
    app.add(b'/e', queue=b'gone')
    seen = {s['path']: s['version'] for s in app.wait(5)}
    assert seen == {'/a': 'demo/one', '/b': 'demo/two', '/c': 'demo/two',
                    '/d': 'demo/one', '/e': 'demo/one'}
    app.logged([('default.one', '0', 'INFO', 'POST /a 200 0.1.0.2'),
                ('worker.two', '0', 'INFO', 'POST /b 200 0.1.0.2'),
                ('worker.two', '0', 'INFO', 'POST /c 200 0.1.0.2'),
                ('default.one', '0', 'INFO', 'POST /d 200 0.1.0.2'),
                ('default.one', '0', 'INFO', 'POST /e 200 0.1.0.2')])


def test_a_version_without_traffic_gets_the_tasks_that_name_it(app):
    app.deploy('two', query='?promote=false')
    app.add(b'/x', header=[{'key': b'Host', 'value': b'two.demo.localhost'}])
    assert app.wait(1)[0]['version'] == 'demo/two'


def test_a_task_stays_in_its_app_whatever_its_host_says(app):
    app.deploy('one', project='other')
    app.add(b'/x', header=[{'key': b'Host', 'value': b'other.localhost'}])
    assert app.wait(1)[0]['version'] == 'demo/one'


def test_a_task_runs_again_when_the_server_dies_meanwhile(app):
    name = app.add(b'/hang')
    app.wait(1)
    app.machine.kill('server')
    open(os.path.join(app.folder, 'go'), 'w').close()
    seen = app.wait(2)
    assert {headers_of(s)['x-appengine-taskname'] for s in seen} == {name}
    app.connect()
    app.finished()
    assert len(app.seen()) == 2


def test_what_was_done_is_not_done_again_after_a_kill(app):
    names = [app.add(b'/x') for _ in range(20)]
    app.wait(20)
    app.finished()
    app.machine.kill('server')
    app.connect()
    last = app.add(b'/last')
    seen = [headers_of(s)['x-appengine-taskname'] for s in app.wait(21)]
    assert sorted(seen) == sorted([*names, last])


def test_a_task_runs_again_when_the_app_dies_meanwhile(app):
    name = app.add(b'/hang')
    app.wait(1)
    app.machine.kill('demo')
    open(os.path.join(app.folder, 'go'), 'w').close()
    seen = [headers_of(s) for s in app.wait(2)]
    assert {h['x-appengine-taskname'] for h in seen} == {name}
    assert int(seen[-1]['x-appengine-taskretrycount']) >= 1
    app.finished()


def test_tasks_wait_for_haproxy(app):
    app.machine.kill('haproxy')
    name = app.add(b'/x')
    assert headers_of(app.wait(1)[0])['x-appengine-taskname'] == name


def test_a_bad_queue_yaml_is_refused_with_its_place(app):
    status, answer = app.machine.api(
        'PUT', '/v1/apps/demo/queues',
        {'queueYaml': 'queue:\n- name: a\n  rate: fast\n'})
    assert status == 400
    assert 'queue.yaml:3:9:' in answer['error']['message']
    assert app.tasks() == 0
