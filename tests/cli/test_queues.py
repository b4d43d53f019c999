"""`appscale queues` and `appscale tasks`, against a controller that only
pretends."""
import json
import os
import resource
import subprocess

import pytest

from lib import paths
from lib.controller import FakeController
from lib.process import run


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'root'


@pytest.fixture
def controller(root):
    with FakeController(str(root)) as c:
        c.apps['guest'] = {'id': 'guest'}
        c.queues['guest'] = [queue('default'), queue(
            'mail', rate='30/m', target='worker', state='PAUSED')]
        c.tasks['guest/default'] = [task(f't{i}') for i in range(250)]
        yield c


@pytest.fixture
def appscale(root):
    def call(*args, **kwargs):
        return run([paths.APPSCALE, *args, '--root', root], check=False,
                   env={'NO_COLOR': '1'}, **kwargs)
    return call


def queue(name, app='guest', state='RUNNING', stats=None, **more):
    return {'name': f'apps/{app}/queues/{name}', 'id': name, 'type': 'PUSH',
            'state': state, 'rateLimits': {
                'maxDispatchesPerSecond': 5.0, 'maxBurstSize': 7,
                'maxConcurrentDispatches': 1000},
            'retryConfig': {'maxAttempts': -1, 'minBackoff': '0.1s',
                            'maxBackoff': '3600s', 'maxDoublings': 16},
            'stats': {'tasksCount': 3, 'executedLastMinuteCount': 11,
                      'executedLastHourCount': 600,
                      'concurrentDispatchesCount': 0,
                      'effectiveExecutionRate': 2.5,
                      'oldestEstimatedArrivalTime': '2026-01-14T10:00:00.000Z',
                      **(stats or {})},
            **more}


def task(name, **more):
    return {'name': f'apps/guest/queues/default/tasks/{name}', 'id': name,
            'scheduleTime': '2026-01-14T10:00:00.000Z',
            'createTime': '2026-01-14T09:00:00.000Z', 'retryCount': 2,
            'executionCount': 1, 'bodyBytes': 17,
            'appEngineHttpRequest': {'httpMethod': 'POST',
                                     'relativeUri': '/work'}, **more}


def words(text):
    return [line.split() for line in text.splitlines()]


# ---- queues ----

def test_list_shows_state_rate_and_what_waits(controller, appscale):
    done = appscale('queues', 'list', 'guest')
    assert done.returncode == 0, done.stderr
    lines = words(done.stdout)
    assert lines[0] == ['guest']
    assert lines[2] == ['default', 'push', 'running', '5/s', '3',
                        '2026-01-14', '10:00:00', '0', '11']
    assert lines[3][:4] == ['mail', 'push', 'paused', '30/m']


def test_list_follows_the_pages_to_their_end(controller, appscale):
    controller.queues['guest'] = [queue(f'q{i:03}') for i in range(253)]
    got = json.loads(appscale('queues', 'list', 'guest', '--json').stdout)
    assert [q['id'] for q in got] == [f'q{i:03}' for i in range(253)]
    lines = words(appscale('queues', 'list', 'guest').stdout)
    assert sum(line[0].startswith('q') for line in lines) == 253


def test_list_without_a_project_shows_all(controller, appscale):
    controller.apps['other'] = {'id': 'other'}
    controller.queues['other'] = [queue('x', app='other')]
    got = json.loads(appscale('queues', 'list', '--json').stdout)
    assert {k: len(v) for k, v in got.items()} == {'guest': 2, 'other': 1}
    controller.apps.clear()
    assert 'No application' in appscale('queues', 'list').stdout


def test_describe_tells_all(controller, appscale):
    controller.queues['guest'][1] = queue(
        'mail', rate='30/m', target='worker', state='DISABLED',
        retryConfig={'maxAttempts': 8, 'minBackoff': '3s',
                     'maxBackoff': '60s', 'maxDoublings': 4,
                     'maxRetryDuration': '120s'},
        acl={'userEmail': ['r@example.com'], 'writerEmail': []},
        stats={'concurrentDispatchesCount': 2})
    done = appscale('queues', 'describe', 'guest', 'mail')
    assert done.returncode == 0, done.stderr
    for part in ('30/m, bucket of 7, at most 1000 at once', 'enforced     2.5',
                 'worker', 'queue.yaml names it no longer',
                 '8 attempts, and on within 120s; after 3s to 60s, '
                 'doubling 4 times', 'r@example.com', 'tasks        3',
                 'oldest       2026-01-14 10:00:00', 'running      2',
                 '11 in the last minute, 600 in the last hour'):
        assert part in done.stdout, done.stdout
    got = json.loads(
        appscale('queues', 'describe', 'guest', 'mail', '--json').stdout)
    assert got == controller.queues['guest'][1]


@pytest.mark.parametrize('args', [
    ('queues', 'list', 'nobody'), ('queues', 'describe', 'guest', 'no'),
    ('queues', 'pause', 'guest', 'no'), ('queues', 'purge', 'guest', 'no'),
    ('tasks', 'list', 'guest', 'no'), ('tasks', 'run', 'guest', 'no', 't'),
    ('tasks', 'run', 'guest', 'default', 'no'),
    ('tasks', 'delete', 'guest', 'default', 'no')])
def test_what_is_not_there_is_named_with_the_next_step(controller, appscale,
                                                       args):
    done = appscale(*args)
    assert done.returncode == 1
    assert 'There is no' in done.stderr and 'Next: appscale' in done.stderr
    assert done.stdout == ''


def test_pause_and_resume(controller, appscale):
    done = appscale('queues', 'pause', 'guest', 'default')
    assert done.returncode == 0 and 'is paused' in done.stdout
    assert controller.queues['guest'][0]['state'] == 'PAUSED'
    done = appscale('queues', 'resume', 'guest', 'default')
    assert done.returncode == 0 and 'goes on' in done.stdout
    assert controller.queues['guest'][0]['state'] == 'RUNNING'


def test_pause_waits_for_attempts_under_way(controller, appscale):
    controller.queues['guest'][0]['stats']['concurrentDispatchesCount'] = 2
    controller.drains = True       # each look finds one less
    done = appscale('queues', 'pause', 'guest', 'default', '--wait', '--json')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['stats']['concurrentDispatchesCount'] == 0


def test_resume_says_when_the_queue_still_stands_still(controller, appscale):
    controller.resumed = 'DISABLED'
    done = appscale('queues', 'resume', 'guest', 'mail')
    assert done.returncode == 1
    assert 'queue.yaml names it no longer' in done.stderr


def test_purge_wants_a_yes(controller, appscale):
    done = appscale('queues', 'purge', 'guest', 'default')
    assert done.returncode == 2 and '--yes' in done.stderr
    assert len(controller.tasks['guest/default']) == 250
    done = appscale('queues', 'purge', 'guest', 'default', '--yes')
    assert done.returncode == 0 and 'is empty' in done.stdout
    assert controller.tasks['guest/default'] == []


# ---- tasks ----

def test_tasks_list_shows_a_hundred_and_says_that_there_are_more(controller,
                                                                 appscale):
    done = appscale('tasks', 'list', 'guest', 'default')
    lines = words(done.stdout)
    assert lines[1] == ['t0', '2026-01-14', '10:00:00', '2', '-', '17',
                        'POST', '/work']
    assert sum(line[0].startswith('t') for line in lines) == 100
    assert '--limit' in done.stderr


@pytest.mark.parametrize('limit', [1, 99, 100, 101, 250, 300])
def test_tasks_list_prints_one_array_over_all_pages(controller, appscale,
                                                    limit):
    done = appscale('tasks', 'list', 'guest', 'default', '--json', '-n',
                    str(limit))
    got = json.loads(done.stdout)
    assert [t['id'] for t in got] == [f't{i}' for i in range(min(limit, 250))]


def test_an_empty_list_is_an_empty_list(controller, appscale):
    assert json.loads(
        appscale('tasks', 'list', 'guest', 'mail', '--json').stdout) == []
    assert 'Nothing waits' in appscale('tasks', 'list', 'guest', 'mail').stdout


def test_a_page_may_be_empty_and_not_the_last(controller, appscale):
    controller.empty_pages = True   # each page comes after an empty one
    done = appscale('tasks', 'list', 'guest', 'default', '--json', '-n', '250')
    assert len(json.loads(done.stdout)) == 250


def test_what_an_app_wrote_does_not_reach_the_terminal_raw(controller,
                                                           appscale):
    controller.tasks['guest/default'] = [
        task('t', appEngineHttpRequest={'httpMethod': 'GET',
                                        'relativeUri': '/\x1b[2J\x07'})]
    done = appscale('tasks', 'list', 'guest', 'default')
    assert '\x1b' not in done.stdout and '/?[2J?' in done.stdout


def test_a_long_list_does_not_fill_the_memory(controller, root):
    controller.tasks['guest/default'] = [task(f't{i}') for i in range(60000)]
    room = 96 << 20
    with open(os.devnull, 'w') as out:
        done = subprocess.run(
            [paths.APPSCALE, 'tasks', 'list', 'guest', 'default', '--limit',
             '60000', '--root', str(root)], stdout=out,
            stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_DATA, (room, room)))
    assert done.returncode == 0, done.stderr


def test_run_makes_it_due(controller, appscale):
    done = appscale('tasks', 'run', 'guest', 'default', 't5')
    assert done.returncode == 0 and 'due now' in done.stdout
    assert controller.ran == ['guest/default/t5']


def test_run_waits_for_success(controller, appscale):
    controller.task_result = 200
    done = appscale('tasks', 'run', 'guest', 'default', 't5', '--wait')
    assert done.returncode == 0 and 'is done' in done.stdout, done.stderr


def test_run_tells_a_failure(controller, appscale):
    controller.task_result = 500
    done = appscale('tasks', 'run', 'guest', 'default', 't5', '--wait')
    assert done.returncode == 1
    assert 'status 500' in done.stderr and 'tried again at' in done.stderr


def test_run_tells_what_was_never_answered(controller, appscale):
    controller.task_result = 'none'
    done = appscale('tasks', 'run', 'guest', 'default', 't5', '--wait')
    assert done.returncode == 1
    assert 'was not answered; it is tried again at' in done.stderr


def test_run_refuses_in_a_queue_that_stands_still(controller, appscale):
    controller.tasks['guest/mail'] = [task('t')]
    done = appscale('tasks', 'run', 'guest', 'mail', 't', '--wait')
    assert done.returncode == 1
    assert 'paused' in done.stderr and 'queues resume' in done.stderr
    assert controller.ran == []


def test_delete(controller, appscale):
    done = appscale('tasks', 'delete', 'guest', 'default', 't5')
    assert done.returncode == 0 and 'deleted' in done.stdout
    assert len(controller.tasks['guest/default']) == 249


@pytest.mark.parametrize('family', ['queues', 'tasks'])
def test_every_command_has_help(appscale, family):
    done = appscale(family, '--help')
    assert done.returncode == 0
    names = {'queues': ('list', 'describe', 'pause', 'resume', 'purge'),
             'tasks': ('list', 'run', 'delete')}[family]
    for name in names:
        assert f'  {name} ' in done.stdout
        assert appscale(family, name, '--help').returncode == 0


def test_limit_must_be_a_number(controller, appscale):
    for limit in ('0', '-1', 'many'):
        done = appscale('tasks', 'list', 'guest', 'default', '--limit', limit)
        assert done.returncode == 2, done.stderr


def test_a_platform_that_is_down_is_exit_status_3(appscale, root):
    assert appscale('queues', 'list').returncode == 3
    assert appscale('tasks', 'list', 'a', 'b').returncode == 3
