"""Pull queues by the REST API v1beta2: plain HTTP against the emulator."""
import base64
import http.client
import json
import random
import time

import pytest
import requests
from google.appengine.api import taskqueue
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb

from lib import rpc, sdk

pytestmark = pytest.mark.skip_on_reference('the stub has no REST API')

PROJECT = sdk.PROJECT


class Rest:
    def __init__(self, api, queue='pull', project=PROJECT):
        self.base = (f'http://{api.host}:{api.port}/taskqueue/v1beta2/'
                     f'projects/{project}/taskqueues/{queue}')

    def call(self, method, path='', want=200, body=None, **query):
        answer = requests.request(method, self.base + path, json=body,
                                  params=query)
        assert answer.status_code == want, answer.text
        if want != 204:
            assert answer.headers['Content-Type'].startswith(
                'application/json')
            return answer.json()
        assert answer.content == b''

    def insert(self, payload=b'work', **fields):
        return self.call('POST', '/tasks', body={
            'payloadBase64': base64.b64encode(payload).decode(), **fields})

    def lease(self, seconds=60, n=10, **query):
        answer = self.call('POST', '/tasks/lease', leaseSecs=seconds,
                           numTasks=n, **query)
        assert answer['kind'] == 'taskqueues#tasks'
        return answer.get('items', [])


def failed(answer, code, reason):
    error = answer['error']
    assert error['code'] == code
    assert error['errors'] == [{'domain': 'global', 'reason': reason,
                                'message': error['message']}]
    assert error['message']
    return error['message']


@pytest.fixture
def rest(api):
    for name in ('pull', 'worn', 'default'):
        taskqueue.Queue(name).purge()
    return Rest(api)


def is_task(task):
    assert task['kind'] == 'taskqueues#task'
    assert task['queueName'] == f'projects/s~{PROJECT}/taskqueues/pull'
    for name in ('id', 'payloadBase64', 'enqueueTimestamp', 'leaseTimestamp'):
        assert type(task[name]) is str, name
    assert type(task['retry_count']) is int
    return task


def test_a_task_is_inserted_leased_and_deleted(rest):
    before = time.time()
    added = is_task(rest.insert(b'\xff\xfe\x00work', tag='red'))
    assert added['leaseTimestamp'] == '0' and added['retry_count'] == 0
    assert abs(int(added['enqueueTimestamp']) / 1e6 - before) < 60
    assert added['tag'] == 'red' and added['id'].isdigit()

    leased, = rest.lease(120)
    is_task(leased)
    assert base64.b64decode(leased['payloadBase64']) == b'\xff\xfe\x00work'
    assert leased['retry_count'] == 1 and leased['tag'] == 'red'
    assert leased['enqueueTimestamp'] == added['enqueueTimestamp']
    assert abs(int(leased['leaseTimestamp']) / 1e6 - before - 120) < 60
    assert rest.call('GET', f'/tasks/{leased["id"]}') == leased
    assert rest.lease() == []

    rest.call('DELETE', f'/tasks/{leased["id"]}', want=204)
    for method in 'GET', 'DELETE':
        failed(rest.call(method, f'/tasks/{leased["id"]}', want=404), 404,
               'notFound')


def test_the_sdk_and_rest_see_the_same_tasks(rest):
    queue = taskqueue.Queue('pull')
    mine = queue.add(taskqueue.Task(payload=b'by the SDK', method='PULL'))
    rest.insert(b'by REST')
    listed = rest.call('GET', '/tasks')['items']
    assert [t['id'] for t in listed][0] == mine.name
    leased = queue.lease_tasks(60, 10)
    assert {t.payload for t in leased} == {b'by the SDK', b'by REST'}
    queue.delete_tasks(leased)
    assert 'items' not in rest.call('GET', '/tasks')


@pytest.mark.parametrize('payload', [b'', b'\xfb\xff', b'a', b'ab', b'abc',
                                     bytes(range(256))])
@pytest.mark.parametrize('encode', [
    base64.b64encode, base64.urlsafe_b64encode,
    lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')])
def test_payloads_come_in_either_alphabet(rest, payload, encode):
    rest.call('POST', '/tasks',
              body={'payloadBase64': encode(payload).decode()})
    task, = rest.lease()
    assert base64.b64decode(task['payloadBase64'], validate=True) == payload
    assert base64.urlsafe_b64decode(task['payloadBase64']) == payload


def test_a_name_of_ones_own_is_used_once(rest):
    name = f'job-{time.time_ns()}'
    assert rest.insert(id=name)['id'] == name
    body = {'id': name, 'payloadBase64': ''}
    failed(rest.call('POST', '/tasks', want=409, body=body), 409, 'conflict')
    rest.call('DELETE', f'/tasks/{name}', want=204)
    message = failed(rest.call('POST', '/tasks', want=409, body=body), 409,
                     'conflict')
    assert message


def test_leases_go_by_tag(rest):
    for tag in ('red', 'blue', 'red'):
        rest.insert(tag=tag)
    assert [t['tag'] for t in rest.lease(groupByTag='true')] == ['red', 'red']
    assert rest.lease(groupByTag='true', tag='red') == []
    assert [t['tag'] for t in rest.lease(groupByTag='true', tag='blue')] \
        == ['blue']
    rest.insert(tag='red')
    failed(rest.call('POST', '/tasks/lease', want=400, leaseSecs=1, numTasks=1,
                     tag='red'), 400, 'invalid')


@pytest.mark.parametrize('method', ['POST', 'PATCH'])
def test_a_lease_is_made_longer_or_given_back(rest, method):
    rest.insert()
    task, = rest.lease(30)
    path = f'/tasks/{task["id"]}'
    longer = rest.call(method, path, body=task, newLeaseSeconds=300)
    assert int(longer['leaseTimestamp']) > int(task['leaseTimestamp'])
    assert longer['retry_count'] == 1
    # The first lease is not the one that runs.
    failed(rest.call(method, path, want=409, body=task, newLeaseSeconds=5),
           409, 'conflict')
    given = rest.call(method, path, newLeaseSeconds=0)
    assert given['leaseTimestamp'] == '0'
    failed(rest.call(method, path, want=409, body=longer, newLeaseSeconds=5),
           409, 'conflict')
    again, = rest.lease()
    assert again['id'] == task['id'] and again['retry_count'] == 2


def test_a_task_that_was_never_leased_has_no_lease_to_change(rest):
    task = rest.insert()
    failed(rest.call('POST', f'/tasks/{task["id"]}', want=409,
                     newLeaseSeconds=5), 409, 'conflict')


def test_a_queue_tells_its_figures(rest):
    plain = rest.call('GET')
    assert plain['kind'] == 'taskqueues#taskqueue' and 'stats' not in plain
    assert plain['acl'] == {'adminEmails': [],
                            'consumerEmails': ['reader@example.com'],
                            'producerEmails': ['writer@example.com']}
    for _ in range(3):
        rest.insert()
    before = int(rest.call('GET', getStats='true')['stats']['leasedLastHour'])
    rest.lease(n=2)
    stats = rest.call('GET', getStats='true')['stats']
    assert stats['totalTasks'] == 3 and type(stats['totalTasks']) is int
    assert abs(int(stats['oldestTask']) - time.time()) < 120
    assert int(stats['leasedLastHour']) == before + 2
    assert type(stats['leasedLastMinute']) is str


def test_max_leases_is_the_retry_limit(api, rest):
    assert Rest(api, 'worn').call('GET')['maxLeases'] == 1
    assert 'maxLeases' not in rest.call('GET')


def test_a_list_has_a_hundred(rest):
    queue = taskqueue.Queue('pull')
    tasks = [taskqueue.Task(payload=b'x', method='PULL') for _ in range(150)]
    queue.add(tasks[:100])
    queue.add(tasks[100:])
    assert len(rest.call('GET', '/tasks')['items']) == 100
    assert len(rest.lease(n=1000)) == 150


def test_large_payloads_travel_and_too_large_ones_do_not(rest):
    big = bytes(700_000)
    for _ in range(3):
        rest.insert(big)
    got = rest.lease(n=1000)
    assert [len(base64.b64decode(t['payloadBase64'])) for t in got] \
        == [len(big)] * 3
    failed(rest.call('POST', '/tasks', want=413, body={
        'payloadBase64': base64.b64encode(bytes(1 << 20)).decode()}),
        413, 'uploadTooLarge')


def test_a_project_may_carry_its_partition(api, rest):
    rest.insert()
    assert len(Rest(api, project=f's~{PROJECT}').lease()) == 1


def test_the_front_ends_address_is_the_same(api, rest):
    rest.base = rest.base.replace('/taskqueue/', '/_ah/taskqueue/')
    rest.insert()
    assert len(rest.lease()) == 1


@pytest.mark.parametrize('body', [
    b'', b'{', b'[]', b'"x"', b'{}', b'{"payloadBase64": 1}',
    b'{"payloadBase64": "a b"}', b'{"payloadBase64": "abcde"}',
    b'{"payloadBase64": "", "tag": {}}', b'{"payloadBase64": "", "id": 7}',
    b'{"payloadBase64": "", "id": "bad name"}',
    b'{"payloadBase64": "", "tag": "%s"}' % (b'x' * 501),
    b'{"payloadBase64": "", "queueName": "other"}', b'\xff\xfe'])
def test_what_cannot_be_inserted_is_refused(rest, body):
    answer = requests.post(rest.base + '/tasks', data=body)
    assert answer.status_code == 400, answer.text
    failed(answer.json(), 400, 'invalid')
    assert rest.lease() == []


@pytest.mark.parametrize('query', [
    {}, {'leaseSecs': 1}, {'numTasks': 1}, {'leaseSecs': -1, 'numTasks': 1},
    {'leaseSecs': 1, 'numTasks': 0}, {'leaseSecs': 1, 'numTasks': 1001},
    {'leaseSecs': 604801, 'numTasks': 1}, {'leaseSecs': 'x', 'numTasks': 1},
    {'leaseSecs': '', 'numTasks': 1}, {'leaseSecs': '1e99', 'numTasks': 1},
    {'leaseSecs': '9' * 30, 'numTasks': 1}])
def test_what_is_no_lease_is_refused(rest, query):
    failed(rest.call('POST', '/tasks/lease', want=400, **query), 400,
           'invalid')


@pytest.mark.parametrize('method, path, code, reason', [
    ('PUT', '/tasks', 405, 'httpMethodNotAllowed'),
    ('DELETE', '', 405, 'httpMethodNotAllowed'),
    ('GET', '/nothing', 404, 'notFound'),
    ('GET', '/tasks/a/b', 404, 'notFound'),
    ('GET', '/tasks/no-such', 404, 'notFound'),
    ('PATCH', '/tasks/no-such?newLeaseSeconds=1', 404, 'notFound'),
    ('PATCH', '/tasks/no-such', 400, 'invalid')])
def test_errors_have_googles_shape(rest, method, path, code, reason):
    failed(rest.call(method, path, want=code), code, reason)


def test_other_queues_and_projects_are_not_served(api, rest):
    failed(Rest(api, 'no-such').call('GET', want=404), 404, 'notFound')
    failed(Rest(api, 'default').call('GET', want=400), 400, 'invalid')
    failed(Rest(api, 'default').call('POST', '/tasks', want=400, body={
        'payloadBase64': ''}), 400, 'invalid')
    failed(Rest(api, project='other').call('GET', want=404), 404, 'notFound')


def test_a_page_of_a_browser_is_refused(rest):
    answer = requests.get(rest.base, headers={'Origin': 'http://evil.example'})
    assert answer.status_code == 403
    failed(answer.json(), 403, 'forbidden')


def test_an_expired_lease_is_given_again(rest):
    rest.insert()
    first, = rest.lease(0)
    again, = rest.lease()
    assert again['id'] == first['id'] and again['retry_count'] == 2
    assert first['leaseTimestamp'] == '0'


PIECES = ['/', '//', '%00', '%2f', '..', 'projects', '/tasks', '/lease',
          '/taskqueues', '/pull', 's~', '?', '&', 'leaseSecs=1', '%',
          'numTasks=-1', 'tag=%ff', 'groupByTag=true', '%ff', 'x' * 600,
          'newLeaseSeconds=1']
BODIES = [b'', b'{', b'{"payloadBase64":"', b'"tag":"\xed\xa0\x80"}',
          b'{"leaseTimestamp":"x"}', b'{"leaseTimestamp":1e400}', b'\x00',
          b'[' * 5000,
          b'{"payloadBase64":"=","id":"\\u0000"}']


def test_garbage_is_an_error_of_the_callers_and_json(rest):
    """Whatever is asked for: never a 500, never another type."""
    dice = random.Random(7)
    host, _, base = rest.base[len('http://'):].partition('/')
    starts = ['/taskqueue/v1beta2/projects/', f'/{base}', f'/{base}/tasks',
              '/_ah/taskqueue/v1beta2/projects/']
    connection = http.client.HTTPConnection(host)
    for _ in range(600):
        path = dice.choice(starts) + ''.join(
            dice.choices(PIECES, k=dice.randrange(6)))
        connection.putrequest(
            dice.choice(['GET', 'POST', 'PATCH', 'DELETE', 'HEAD']), path)
        body = dice.choice(BODIES)
        connection.putheader('Content-Length', str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 500, (path, body, text)
        if text:
            json.loads(text)
    connection.close()
    rest.insert()
    assert rest.lease()


def pause(api, on):
    client = rpc.Client(api.host, api.port)
    client.call('taskqueue', 'PauseQueue', pb.TaskQueuePauseQueueRequest(
        app_id=PROJECT.encode(), queue_name=b'pull', pause=on),
        pb.TaskQueuePauseQueueResponse)
    client.close()


def test_a_paused_queue_leases_nothing(api, rest):
    rest.insert()
    pause(api, True)
    try:
        assert rest.lease() == []
    finally:
        pause(api, False)
    assert len(rest.lease()) == 1
