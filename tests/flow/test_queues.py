"""Queues and tasks by hand: the command line, the Admin API, and the REST form
of pull queues, on a platform that runs."""
import itertools
import json
import time

import pytest
import requests
from google.appengine.api.app_identity import (
    app_identity_service_pb2 as identity)
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb

from lib import paths, rpc
from lib.process import run

QUEUES = '''
queue:
- name: default
  rate: 50/s
- name: lazy
  rate: 1/d
- name: pull
  mode: pull
  acl:
  - user_email: demo@appspot.gserviceaccount.com
  - user_email: me@example.com
  - writer_email: demo@appspot.gserviceaccount.com
'''

numbers = itertools.count(1)


class App:
    """The app `demo` of a machine, its queues, and the ticket it has."""

    def __init__(self, machine):
        self.machine = machine
        status, answer = machine.api('PUT', '/v1/apps/demo/queues',
                                     {'queueYaml': QUEUES})
        assert (status, answer) == (200, {})
        headers = dict(machine.get().json()['headers'])
        ticket = next(v for k, v in headers.items()
                      if k.lower() == 'x-appengine-api-ticket')
        self.client = rpc.Client('127.0.0.1', machine.settings['api_port'],
                                 ticket=ticket)

    def add(self, queue, later=0, **fields):
        name = f't{next(numbers)}'
        eta = int((time.time() + later) * 1e6)
        self.client.call('taskqueue', 'Add', pb.TaskQueueAddRequest(
            queue_name=queue.encode(), task_name=name.encode(), eta_usec=eta,
            **{'url': b'/work', **fields}), pb.TaskQueueAddResponse)
        return name

    def cli(self, *args, **kwargs):
        return run([paths.APPSCALE, *args, '--root', self.machine.root],
                   **kwargs)

    def json(self, *args):
        return json.loads(self.cli(*args, '--json').stdout)

    def queue(self, name):
        return self.json('queues', 'describe', 'demo', name)


@pytest.fixture
def app(running):
    app = App(running)
    for queue in ('default', 'lazy', 'pull'):
        app.cli('queues', 'purge', 'demo', queue, '--yes')
    yield app
    app.client.close()


def test_queues_are_listed_and_described(app):
    listed = app.json('queues', 'list', 'demo')
    assert [q['id'] for q in listed] == ['default', 'lazy', 'pull']
    app.add('lazy', later=3600)
    due = app.add('lazy', later=1800)
    q = app.queue('lazy')
    assert q['state'] == 'RUNNING' and q['rate'] == '1/d'
    assert q['stats']['tasksCount'] == 2
    tasks = app.json('tasks', 'list', 'demo', 'lazy')
    assert tasks[0]['id'] == due and len(tasks) == 2
    assert tasks[0]['scheduleTime'] == \
        q['stats']['oldestEstimatedArrivalTime']
    assert app.queue('pull')['acl']['writerEmail'] == [
        'demo@appspot.gserviceaccount.com']


def test_a_paused_queue_keeps_its_tasks_until_it_is_resumed(app):
    app.cli('queues', 'pause', 'demo', 'default', '--wait')
    before = app.queue('default')['stats']['executedLastHourCount']
    name = app.add('default')
    refused = app.cli('tasks', 'run', 'demo', 'default', name, '--wait',
                      check=False)
    assert refused.returncode == 1 and 'queues resume' in refused.stderr
    assert app.queue('default')['stats']['tasksCount'] == 1
    app.cli('queues', 'resume', 'demo', 'default')
    end = time.monotonic() + 20 * paths.SLOWNESS
    while app.queue('default')['stats']['tasksCount']:
        assert time.monotonic() < end
    after = app.queue('default')['stats']
    assert after['executedLastHourCount'] == before + 1


def test_a_task_of_tomorrow_is_run_today(app):
    name = app.add('default', later=86400)
    done = app.cli('tasks', 'run', 'demo', 'default', name, '--wait')
    assert 'is done' in done.stdout
    gone = app.cli('tasks', 'delete', 'demo', 'default', name, check=False)
    assert gone.returncode == 1 and 'is done or was deleted' in gone.stderr


def test_a_task_that_fails_says_when_it_is_tried_again(app):
    name = app.add('default', later=86400, method=5)   # DELETE: status 501
    done = app.cli('tasks', 'run', 'demo', 'default', name, '--wait',
                   check=False)
    assert done.returncode == 1 and 'status 501' in done.stderr
    app.cli('tasks', 'delete', 'demo', 'default', name)


def test_a_long_queue_is_listed_in_pages_and_purged(app):
    names = [app.add('lazy', later=3600 + i) for i in range(230)]
    listed = app.json('tasks', 'list', 'demo', 'lazy', '--limit', '1000')
    assert [t['id'] for t in listed] == names
    status, page = app.machine.api(
        'GET', '/v1/apps/demo/queues/lazy/tasks?pageSize=7')
    assert status == 200 and len(page['tasks']) == 7
    status, page = app.machine.api(
        'GET', '/v1/apps/demo/queues/lazy/tasks?pageSize=7&pageToken=' +
        page['nextPageToken'])
    assert [t['id'] for t in page['tasks']] == names[7:14]
    app.cli('queues', 'purge', 'demo', 'lazy', '--yes')
    assert app.json('tasks', 'list', 'demo', 'lazy') == []


@pytest.mark.parametrize('method, path, status', [
    ('GET', 'nobody/queues', 404), ('GET', 'demo/queues/no', 404),
    ('GET', 'demo/queues/no/tasks', 404),
    ('GET', 'demo/queues/lazy/tasks?pageToken=%ff', 400),
    ('GET', 'demo/queues/lazy/tasks?pageToken=AAAA&pageSize=0', 400),
    ('GET', 'demo/queues/lazy/tasks/no', 404),
    ('POST', 'demo/queues/lazy:explode', 404),
    ('POST', 'demo/queues/b%2Fd:pause', 400),
    ('POST', 'demo/queues/pull/tasks/no:run', 404),
    ('DELETE', 'demo/queues/lazy/tasks/no', 404)])
def test_what_cannot_be_done_is_said(app, method, path, status):
    got, answer = app.machine.api(method, '/v1/apps/' + path)
    assert got == status, answer
    assert answer['error']['message']


def test_any_token_of_the_right_letters_is_a_place(app):
    """A place that no page has ended with shows what lies behind it."""
    name = app.add('lazy', later=3600)
    status, page = app.machine.api(
        'GET', '/v1/apps/demo/queues/lazy/tasks?pageToken=AAAA')
    assert status == 200 and [t['id'] for t in page['tasks']] == [name]


# ---- pull queues by REST ----

BASE = '/taskqueue/v1beta2/projects/demo/taskqueues/pull'


def token(app, scope):
    answer = app.client.call(
        'app_identity_service', 'GetAccessToken',
        identity.GetAccessTokenRequest(scope=[scope]),
        identity.GetAccessTokenResponse)
    return answer.access_token


def rest(app, method, path, bearer=None, host='demo.localhost', want=200,
         **kwargs):
    """Through the front end, as a worker on another machine."""
    headers = {'Host': host, **kwargs.pop('headers', {})}
    if bearer:
        headers['Authorization'] = f'Bearer {bearer}'
    answer = requests.request(
        method, f'http://127.0.0.1:{app.machine.settings["http_port"]}'
        f'/_ah{BASE}{path}', headers=headers, timeout=30, **kwargs)
    assert answer.status_code == want, answer.text
    return answer.json() if want != 204 else None


def test_a_worker_elsewhere_leases_and_deletes(app):
    bearer = app.cli('token', 'demo').stdout.strip()
    added = rest(app, 'POST', '/tasks', bearer,
                 json={'payloadBase64': 'd29yaw==', 'tag': 'red'})
    leased, = rest(app, 'POST', '/tasks/lease?leaseSecs=60&numTasks=5',
                   bearer)['items']
    assert leased['id'] == added['id']
    assert leased['payloadBase64'] == 'd29yaw=='
    assert app.queue('pull')['stats']['executedLastMinuteCount'] >= 1
    rest(app, 'PATCH', f'/tasks/{added["id"]}?newLeaseSeconds=90', bearer,
         json={'leaseTimestamp': leased['leaseTimestamp']})
    rest(app, 'DELETE', f'/tasks/{added["id"]}', bearer, want=204)
    assert app.json('tasks', 'list', 'demo', 'pull') == []


def test_strangers_are_refused_at_every_address(app):
    port = app.machine.settings['api_port']
    wrong = token(app, 'https://www.googleapis.com/auth/devstorage.full')
    for bearer, want in ((None, 401), ('as2.demo.1.x.y', 401), (wrong, 403)):
        error = rest(app, 'GET', '', bearer, want=want)['error']
        assert error['code'] == want
        direct = requests.get(
            f'http://127.0.0.1:{port}{BASE}', timeout=30,
            headers={'Authorization': f'Bearer {bearer}'} if bearer else {})
        assert direct.status_code == want
    # An app's ticket is for the API, not for this.
    rest(app, 'GET', '', app.client.ticket, want=401)


def test_tokens_are_made_for_a_purpose(app):
    other = app.json('token', 'demo', '--scopes',
                     'https://www.googleapis.com/auth/devstorage.full')
    rest(app, 'GET', '', other['token'], want=403)
    assert other['expireTime'].startswith('20')
    assert app.cli('token', 'demo', '--audience',
                   'https://a').stdout.count('.') == 2
    done = app.cli('token', 'nobody', check=False)
    assert done.returncode == 1 and 'nobody' in done.stderr
    assert app.cli('token', 'demo', '--audience', 'a', '--scopes', 'b',
                   check=False).returncode == 2


def test_a_person_whom_the_acl_names_signs_in(app):
    app.machine.api('POST', '/v1/platform/users', {
        'email': 'me@example.com', 'password': 'secret', 'admin': False,
        'replace': True})
    cookie = app.machine.sign_in('demo.localhost', 'me@example.com', 'secret')
    rest(app, 'GET', '/tasks', cookie.split('=', 1)[1])
    rest(app, 'GET', '/tasks', want=401, headers={'Cookie': cookie})
    rest(app, 'POST', '/tasks', cookie.split('=', 1)[1], want=403,
         json={'payloadBase64': ''})
