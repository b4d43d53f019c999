"""Push tasks on their way: an emulator that sends them to an app of ours."""
import itertools
import os
import shutil
import threading
import time

import pytest
from google.appengine.api import taskqueue
from google.appengine.api.taskqueue import taskqueue_service_bytes_pb2 as pb
from google.appengine.ext import ndb

from lib import paths, rpc, sdk
from lib.emulator import Emulator, REFERENCE
from lib.taskapp import Hang, TaskApp

names = (f'd-{time.time_ns()}-{i}' for i in itertools.count())
pytestmark = pytest.mark.skipif(
    REFERENCE, reason="Google's stub sends nothing by itself")


@pytest.fixture(scope='module')
def appdir(tmp_path_factory):
    """A folder with the queues of tasks.yaml."""
    folder = tmp_path_factory.mktemp('app')
    shutil.copy(os.path.join(paths.ROOT, 'tests/sdk/app/tasks.yaml'),
                folder / 'queue.yaml')
    return str(folder)


@pytest.fixture(scope='module')
def served(appdir):
    """An emulator with those queues, and the app it sends to."""
    with TaskApp() as app, Emulator(
            project=sdk.PROJECT, appdir=appdir, options=['--app-url', app.url]) as emu:
        yield emu, app
        assert emu.stop() == 0, emu.output()


@pytest.fixture
def app(served):
    emu, app = served
    before = dict(os.environ)
    sdk.connect(emu.host, emu.port)
    app.answer = lambda request: 200
    app.forget()
    yield app
    app.answer = lambda request: 200
    for name in ('default', 'slow', 'narrow', 'retried', 'zero', 'busy'):
        settled(name)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def client(served):
    client = rpc.Client(served[0].host, served[0].port)
    yield client
    client.close()


def call(client, method, **fields):
    return client.call('taskqueue', method,
                       getattr(pb, f'TaskQueue{method}Request')(**fields),
                       getattr(pb, f'TaskQueue{method}Response'))


def until(condition, timeout=20):
    end = time.monotonic() + timeout * paths.SLOWNESS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def settled(queue):
    taskqueue.Queue(queue).purge()
    until(lambda: taskqueue.Queue(queue).fetch_statistics().in_flight == 0)


# ---- one attempt ----

def test_a_task_arrives_with_its_headers(app):
    task = taskqueue.add(url='/work', payload=b'\x00body', headers={
        'X-Mine': 'yes', 'Content-Type': 'text/x-mine', 'User-Agent': 'me/1',
        'X-AppEngine-TaskRetryCount': '99', 'X-Appengine-User-Is-Admin': '1',
        'Transfer-Encoding': 'chunked'})
    [request] = app.wait(1)
    assert (request.method, request.path) == ('POST', '/work')
    assert request.body == b'\x00body'
    h = request.headers
    assert h['x-mine'] == 'yes' and h['content-type'] == 'text/x-mine'
    assert h['user-agent'] == ('me/1 AppEngine-Google; '
                               '(+http://code.google.com/appengine)')
    assert h['content-length'] == '5'
    assert request['QueueName'] == 'default'
    assert request['TaskName'] == task.name
    assert request['TaskRetryCount'] == '0'
    assert request['TaskExecutionCount'] == '0'
    seconds, _, fraction = request['TaskETA'].partition('.')
    assert len(fraction) == 6 and abs(int(seconds) - time.time()) < 60
    assert request['TaskPreviousResponse'] is None
    assert request['User-Ip'] == '0.1.0.2'
    assert request['User-Is-Admin'] is None
    assert h['x-forwarded-for'] == '0.1.0.2, 169.254.1.1'
    assert request['Country'] == 'ZZ' and request['Https'] == 'off'
    assert 'transfer-encoding' not in h
    assert 'x-appengine-current-namespace' in h
    names = [k.lower() for k, _ in request.items]
    assert len(names) == len(set(names))


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'DELETE', 'POST'])
def test_every_method(app, method):
    body = b'x' if method in ('PUT', 'POST') else None
    taskqueue.add(url='/m', method=method, payload=body)
    [request] = app.wait(1)
    assert request.method == method
    assert request.body == (body or b'')
    assert request.headers.get('content-type') == (
        'application/octet-stream' if body else None)


def test_the_url_of_a_queue(app, client):
    taskqueue.add(queue_name='once', params={'a': 'b'})
    call(client, 'Add', queue_name=b'once', task_name=b'', eta_usec=0)
    assert [r.path for r in app.wait(2)] == ['/_ah/queue/once'] * 2


def test_hosts(app):
    taskqueue.add(url='/a', headers={'Host': 'v3.example.com'})
    assert app.wait(1)[0].headers['host'] == 'v3.example.com'
    taskqueue.add(url='/b', queue_name='aimed')
    host = app.url[len('http://'):]
    assert app.wait(2)[1].headers['host'] == f'v2.backend.{host}'


def test_a_task_waits_for_its_eta(app):
    before = time.time()
    taskqueue.add(url='/later', countdown=1)
    taskqueue.add(url='/now')
    now, later = app.wait(2)
    assert (now.path, later.path) == ('/now', '/later')
    assert later.time >= before + 1
    assert float(later['TaskETA']) <= later.time


# ---- outcomes ----

def test_a_2xx_ends_a_task(app, client):
    name = taskqueue.add(url='/x').name.encode()
    app.wait(1)
    until(lambda: taskqueue.Queue().fetch_statistics().tasks == 0)
    with pytest.raises(rpc.ApplicationError) as error:
        call(client, 'FetchTask', queue_name=b'default', task_name=name)
    assert error.value.code == pb.TaskQueueServiceError.TOMBSTONED_TASK


@pytest.mark.parametrize('status', [302, 404, 408, 500, 599])
def test_anything_else_is_tried_again(app, status):
    app.answer = lambda r: 204 if r.retries else (
        status, {'Location': '/elsewhere'})
    name = taskqueue.add(url='/x', queue_name='retried').name
    first, second = app.wait(2)
    assert first.name == second.name == name
    assert second.path == '/x'
    assert (second['TaskRetryCount'], second['TaskExecutionCount'],
            second['TaskPreviousResponse']) == ('1', '1', str(status))
    assert second.time - first.time >= 0.1
    assert float(second['TaskETA']) > float(first['TaskETA'])


def test_the_waits_and_the_end(app):
    app.answer = lambda r: 500
    taskqueue.add(url='/x', queue_name='retried')
    attempts = app.wait(4)
    until(lambda: taskqueue.Queue('retried').fetch_statistics().tasks == 0)
    assert [r.retries for r in attempts] == [0, 1, 2, 3]
    gaps = [b.time - a.time for a, b in zip(attempts, attempts[1:])]
    for gap, least in zip(gaps, (0.1, 0.2, 0.3)):
        assert least <= gap < least + 1
    assert len(app.requests) == 4


def test_a_tasks_own_limits_replace_the_queues(app):
    app.answer = lambda r: 500
    taskqueue.add(url='/x', queue_name='retried', retry_options=
                  taskqueue.TaskRetryOptions(task_retry_limit=1,
                                             min_backoff_seconds=0.01))
    app.wait(2)
    until(lambda: taskqueue.Queue('retried').fetch_statistics().tasks == 0)
    assert len(app.requests) == 2
    app.forget()
    taskqueue.add(url='/x', queue_name='once')
    app.wait(1)
    until(lambda: taskqueue.Queue('once').fetch_statistics().tasks == 0)
    assert len(app.requests) == 1


def test_a_failure_is_seen_by_the_api(app, client):
    app.answer = lambda r: 418
    name = taskqueue.add(url='/x', queue_name='default', retry_options=
                         taskqueue.TaskRetryOptions(
                             min_backoff_seconds=100)).name.encode()

    def task():
        return call(client, 'FetchTask', queue_name=b'default',
                    task_name=name).task.task[0]

    app.wait(1)
    until(lambda: task().retry_count == 1)
    seen = task()
    assert seen.execution_count == 1 and seen.runlog.response_code == 418
    assert 90 < seen.eta_usec / 1e6 - time.time() < 110
    assert seen.first_try_usec == seen.runlog.dispatched_usec
    app.answer = lambda r: 200
    assert call(client, 'ForceRun', queue_name=b'default',
                task_name=name).result == 0
    assert app.wait(2)[1]['TaskRetryCount'] == '1'


def test_a_503_slows_the_whole_queue(app):
    app.answer = lambda r: 503
    taskqueue.Queue('busy').add([taskqueue.Task(url='/x') for _ in range(10)])
    until(lambda: taskqueue.Queue('busy').fetch_statistics().enforced_rate
          < 6)
    last = app.requests[-1]
    assert last['TaskExecutionCount'] == '0'
    assert any(r.retries for r in app.requests)


def test_an_attempt_ends_at_its_deadline(app, client):
    app.answer = lambda r: 200 if r.retries else Hang()
    call(client, 'Add', queue_name=b'retried', task_name=b'', eta_usec=0,
         url=b'/x', dispatch_deadline_usec=15_000_000)
    first, second = app.wait(2, timeout=40)
    assert 14.9 < second.time - first.time < 25
    assert second['TaskExecutionCount'] == '1'


# ---- rate and concurrency ----

def test_the_rate_is_a_token_bucket(app):
    taskqueue.Queue('slow').add([taskqueue.Task(url='/x') for _ in range(13)])
    times = [r.time for r in app.wait(13)]
    # Three at once, then ten a second.
    assert times[-1] - times[0] >= 0.95
    assert times[2] - times[0] < 0.5
    for i in range(len(times) - 6):
        assert times[i + 6] - times[i] >= 0.2


def test_no_more_than_max_concurrent_requests(app):
    def answer(request):
        time.sleep(0.05)
        return 200

    app.answer = answer
    taskqueue.Queue('narrow').add([taskqueue.Task(url='/x')
                                   for _ in range(20)])
    app.wait(20)
    assert app.most == 2


def test_a_queue_of_rate_zero_waits(app):
    taskqueue.add(url='/zero', queue_name='zero')
    taskqueue.add(url='/other')
    app.wait(1)
    assert [r.path for r in app.requests] == ['/other']
    assert taskqueue.Queue('zero').fetch_statistics().tasks == 1


def test_pause_and_resume(app, client):
    def pause(on):
        call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(),
             queue_name=b'default', pause=on)

    pause(True)
    taskqueue.add(url='/paused')
    taskqueue.add(url='/other', queue_name='once')
    app.wait(1)
    assert [r.path for r in app.requests] == ['/other']
    pause(False)
    assert app.wait(2)[1].path == '/paused'


def test_what_is_deleted_or_purged_does_not_run(app, client):
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(),
         queue_name=b'default', pause=True)
    queue = taskqueue.Queue()
    tasks = [taskqueue.Task(url=f'/{i}') for i in range(3)]
    queue.add(tasks)
    queue.delete_tasks(tasks[:2])
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(),
         queue_name=b'default', pause=False)
    assert [r.path for r in app.wait(1)] == ['/2']
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(),
         queue_name=b'default', pause=True)
    queue.add(taskqueue.Task(url='/purged'))
    queue.purge()
    queue.add(taskqueue.Task(url='/after'))
    call(client, 'PauseQueue', app_id=sdk.PROJECT.encode(),
         queue_name=b'default', pause=False)
    assert [r.path for r in app.wait(2)] == ['/2', '/after']


def test_many_tasks_run_once_each(app):
    queue = taskqueue.Queue()
    names = set()
    for _ in range(20):
        tasks = [taskqueue.Task(url='/x') for _ in range(50)]
        queue.add(tasks)
        names.update(t.name for t in tasks)
    requests = app.wait(1000)
    until(lambda: queue.fetch_statistics().tasks == 0)
    assert sorted(r.name for r in app.requests) == sorted(names)
    assert len(requests) == 1000
    stats = queue.fetch_statistics()
    assert stats.executed_last_minute >= 1000 and stats.in_flight == 0


def test_r_a_task_that_comes_due_behind_a_full_list(app):
    """The loop turned for ever, and no queue had a task started any more."""
    queue = taskqueue.Queue('slow')
    for _ in range(4):
        queue.add([taskqueue.Task(url='/many') for _ in range(100)])
    queue.add(taskqueue.Task(url='/later', countdown=0.3))
    app.wait(3)
    due = time.time() + 0.4
    until(lambda: time.time() > due)
    taskqueue.add(url='/other')
    until(lambda: '/other' in [r.path for r in app.requests], 5)


def test_a_task_of_a_transaction_runs_after_the_commit(app):
    class Thing(ndb.Model):
        n = ndb.IntegerProperty()

    committed = []

    def work():
        Thing(id='x', n=1).put()
        taskqueue.add(url='/txn', transactional=True)
        taskqueue.add(url='/plain')
        app.wait(1)
        committed.append(time.time())

    ndb.transaction(work)
    plain, txn = app.wait(2)
    assert (plain.path, txn.path) == ('/plain', '/txn')
    assert txn.time >= committed[0]


# ---- kills ----

@pytest.fixture
def own(tmp_path, appdir):
    """An emulator and an app for one test, which kills."""
    before = dict(os.environ)
    with TaskApp() as app, Emulator(
            project=sdk.PROJECT, data=str(tmp_path / 'data'), appdir=appdir,
            options=['--app-url', app.url]) as emu:
        sdk.connect(emu.host, emu.port)
        yield emu, app
    os.environ.clear()
    os.environ.update(before)


def test_a_task_runs_again_when_the_server_is_killed_meanwhile(own):
    """Each time with another retry count: libraries drop one they know."""
    emu, app = own
    release = threading.Event()
    app.answer = lambda r: 200 if release.is_set() else Hang()
    name = taskqueue.add(url='/long').name
    waiting = taskqueue.add(url='/later', countdown=3600).name
    for kills in (1, 2):
        app.wait(kills)
        emu.kill9()
        if kills == 2:
            release.set()
        emu.restart()
    requests = app.wait(3)
    assert [r.name for r in requests] == [name] * 3
    assert [r['TaskRetryCount'] for r in requests] == ['0', '1', '2']
    assert [r['TaskExecutionCount'] for r in requests] == ['0'] * 3
    sdk.connect(emu.host, emu.port)
    until(lambda: taskqueue.Queue().fetch_statistics().tasks == 1)
    client = rpc.Client(emu.host, emu.port)
    call(client, 'ForceRun', queue_name=b'default', task_name=waiting.encode())
    client.close()
    assert app.wait(4)[3]['TaskRetryCount'] == '0'


def test_what_was_acknowledged_does_not_run_again(own):
    emu, app = own
    names = [taskqueue.add(url='/x').name for _ in range(30)]
    app.wait(30)
    until(lambda: taskqueue.Queue().fetch_statistics().tasks == 0)
    later = taskqueue.add(url='/later', countdown=2).name
    emu.kill9()
    emu.restart()
    assert app.wait(31)[-1].name == later
    assert sorted(r.name for r in app.requests[:30]) == sorted(names)


def test_tasks_wait_for_an_app_that_is_down(tmp_path):
    before = dict(os.environ)
    with TaskApp() as app:
        port = app.port
    with Emulator(project=sdk.PROJECT, data=str(tmp_path / 'data'),
                  options=['--app-url', f'http://127.0.0.1:{port}']) as emu:
        sdk.connect(emu.host, emu.port)
        taskqueue.add(url='/x', retry_options=taskqueue.TaskRetryOptions(
            max_backoff_seconds=0.2))
        until(lambda: taskqueue.Queue().fetch_statistics()
              .executed_last_minute >= 2)
        with TaskApp(port) as app:
            [request] = app.wait(1)
            assert request.retries >= 2
            assert request['TaskExecutionCount'] == '0'
    os.environ.clear()
    os.environ.update(before)


def test_a_failed_write_of_an_outcome_is_made_good(tmp_path):
    before = dict(os.environ)
    with TaskApp() as app, Emulator(
            project=sdk.PROJECT, data=str(tmp_path / 'data'), options=['--app-url', app.url],
            env={'APPSCALE_ERRINJ': 'taskqueue.outcome.fail=1'}) as emu:
        sdk.connect(emu.host, emu.port)
        taskqueue.add(url='/x')
        app.wait(1)
        until(lambda: taskqueue.Queue().fetch_statistics().tasks == 0)
        assert len(app.requests) == 1
        assert 'taskqueue.outcome.failed' in emu.output()
    os.environ.clear()
    os.environ.update(before)


def test_kills_at_random_lose_nothing_and_repeat_nothing_done(
        tmp_path, appdir):
    """Tasks are added and run while the server is killed again and again.

    Whatever was acknowledged runs; what the app answered runs again only when
    the server died before it could write that down.
    """
    before = dict(os.environ)
    rounds, added, killed = 6, set(), []
    with TaskApp() as app, Emulator(
            project=sdk.PROJECT, data=str(tmp_path / 'data'), appdir=appdir,
            options=['--app-url', app.url]) as emu:
        app.answer = lambda r: 500 if hash(r.name) % 5 == 0 and \
            r.retries == 0 else 200
        for _ in range(rounds):
            sdk.connect(emu.host, emu.port)
            stop = threading.Event()

            def add():
                sdk.use_ticket()
                while not stop.is_set():
                    name = next(names)
                    try:
                        taskqueue.add(url='/x', name=name, retry_options=
                                      taskqueue.TaskRetryOptions(
                                          min_backoff_seconds=0.01))
                        added.add(name)
                    except Exception:  # the server was killed meanwhile
                        return

            adders = [threading.Thread(target=add) for _ in range(4)]
            for t in adders:
                t.start()
            app.wait(len(app.requests) + 40)
            emu.kill9()
            killed.append(time.time())
            stop.set()
            for t in adders:
                t.join()
            emu.restart()
        sdk.connect(emu.host, emu.port)
        until(lambda: taskqueue.Queue().fetch_statistics().tasks == 0, 60)
        done = {}
        for r in app.requests:
            if hash(r.name) % 5 or r.retries:
                done.setdefault(r.name, []).append(r)
        assert added <= set(done)
        # Each server has ids of its own; the first one's come first.
        servers = list(dict.fromkeys(
            r['Request-Log-Id'][:16] for r in app.requests))
        assert rounds <= len(servers) <= rounds + 1
        for name, runs in done.items():
            by = [servers.index(r['Request-Log-Id'][:16]) for r in runs]
            assert len(by) == len(set(by)), (name, by)
            for r, server in list(zip(runs, by))[:-1]:
                assert r.time > killed[server] - 1, (name, by)
    os.environ.clear()
    os.environ.update(before)
