"""`appscale cron` and the deployment of cron.yaml, against a controller that
only pretends."""
import json

import pytest

from lib import paths
from lib.controller import FakeController
from lib.process import run

CRON = 'cron:\n- url: /a\n  schedule: every 5 minutes\n'


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'root'


@pytest.fixture
def controller(root):
    with FakeController(str(root)) as c:
        c.apps['guest'] = {'id': 'guest'}
        c.apps['other'] = {'id': 'other'}
        c.cron['guest'] = {
            'file': 'cron.yaml', 'updateTime': '2026-01-14T10:00:00.000Z',
            'jobs': [job(1, '/a'), job(2, '/b', target='worker',
                                       description='counts things'),
                     job(3, '/b')]}
        yield c


@pytest.fixture
def appscale(root):
    def call(*args):
        return run([paths.APPSCALE, *args, '--root', root], check=False,
                   env={'NO_COLOR': '1'})
    return call


def job(number, url, **more):
    return {'id': f'{number:016x}', 'number': number, 'url': url,
            'description': '', 'schedule': 'every day 09:00',
            'timeZone': 'Europe/Berlin', 'target': '',
            'attemptDeadline': '600s', 'state': 'IDLE',
            'nextRuns': [f'2026-01-1{d}T08:00:00.000Z' for d in range(1, 6)],
            **more}


def last(name='0' * 32, outcome='SUCCEEDED', status=200, **more):
    return {'name': name, 'scheduleTime': '2026-01-10T08:00:00.000Z',
            'startTime': '2026-01-10T08:00:00.120Z',
            'endTime': '2026-01-10T08:00:01.000Z', 'outcome': outcome,
            'attempts': 1, 'manual': False, 'status': status, **more}


def test_list_shows_each_job_with_its_next_five_runs(controller, appscale):
    controller.cron['guest']['jobs'][0]['lastRun'] = last()
    controller.cron['guest']['jobs'][1]['lastRun'] = last(
        outcome='FAILED', status=500, reason='an error')
    done = appscale('cron', 'list', 'guest')
    assert done.returncode == 0, done.stderr
    assert '  1  /a  every day 09:00 (Europe/Berlin)\n' in done.stdout
    assert '  2  /b  every day 09:00 (Europe/Berlin) -> worker\n' in \
        done.stdout
    assert 'counts things' in done.stdout
    assert done.stdout.count('2026-01-11 08:00:00, 2026-01-12 08:00:00, '
                             '2026-01-13 08:00:00, 2026-01-14 08:00:00, '
                             '2026-01-15 08:00:00 UTC') == 3
    assert '2026-01-10 08:00:00 UTC: succeeded with status 200' in done.stdout
    assert 'failed with status 500: an error' in done.stdout
    assert 'none yet' in done.stdout


def test_list_without_a_project_shows_all(controller, appscale):
    done = appscale('cron', 'list')
    assert 'guest, cron.yaml of 2026-01-14 10:00:00 UTC' in done.stdout
    assert 'other has no cron jobs.' in done.stdout
    found = json.loads(appscale('cron', 'list', '--json').stdout)
    assert set(found) == {'guest', 'other'}
    one = json.loads(appscale('cron', 'list', 'guest', '--json').stdout)
    assert one == controller.cron['guest'] == found['guest']


def test_describe_takes_a_number_a_url_or_an_id(controller, appscale):
    jobs = controller.cron['guest']['jobs']
    jobs[0]['retryConfig'] = {
        'retryCount': 3, 'minBackoffDuration': '0.100s',
        'maxBackoffDuration': '3600s', 'maxDoublings': 16}
    jobs[0]['lastRun'] = last(answer='all is well')
    for name in ('1', '/a', jobs[0]['id']):
        done = appscale('cron', 'describe', 'guest', name)
        assert done.returncode == 0, done.stderr
        assert 'retry   3 times, after 0.100s to 3600s' in done.stdout
        assert 'limit   600s' in done.stdout
        assert done.stdout.endswith('all is well\n')
    done = appscale('cron', 'describe', 'guest', '3', '--json')
    assert json.loads(done.stdout)['number'] == 3


@pytest.mark.parametrize('args,why', [
    (('guest', '/b'), 'several jobs called "/b"'),
    (('guest', '9'), 'has no cron job "9"'),
    (('nobody', '1'), 'There is no project nobody'),
])
def test_a_job_that_is_not_meant_is_said_so(controller, appscale, args, why):
    for command in ('describe', 'run'):
        done = appscale('cron', command, *args)
        assert done.returncode == 1
        assert why in done.stderr and 'Next: ' in done.stderr
    assert not [c for c in controller.calls if c.endswith('/run')]


def test_run_waits_for_the_end_and_shows_the_answer(controller, appscale):
    controller.cron_result = last(answer='all is well')
    done = appscale('cron', 'run', 'guest', '/a')
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'all is well\n'
    assert '/a succeeded with status 200' in done.stderr


def test_a_run_that_fails_is_a_failure(controller, appscale):
    controller.cron_result = last(outcome='FAILED', status=500,
                                  reason='an error', answer='Traceback')
    done = appscale('cron', 'run', 'guest', '/a')
    assert done.returncode == 1
    assert done.stdout == 'Traceback\n'
    assert '/a failed with status 500: an error' in done.stderr
    assert 'Next: appscale logs guest' in done.stderr
    done = appscale('cron', 'run', 'guest', '/a', '--json')
    assert done.returncode == 1
    assert json.loads(done.stdout)['lastRun']['outcome'] == 'FAILED'


def test_deploy_of_the_file_alone_replaces_the_jobs(controller, appscale,
                                                    tmp_path):
    folder = tmp_path / 'guest'
    folder.mkdir()
    (folder / 'cron.yaml').write_text(CRON)
    done = appscale('deploy', folder / 'cron.yaml')
    assert done.returncode == 0, done.stderr
    assert 'guest has 1 cron job now' in done.stdout
    assert controller.cron_files == {'guest': ('cron.yaml', CRON)}
    assert not controller.versions
    done = appscale('deploy', folder / 'cron.yaml', '--project', 'other',
                    '--json')
    assert json.loads(done.stdout) == {
        'project': 'other', 'file': 'cron.yaml', 'cronJobs': 1}
    done = appscale('deploy', folder / 'cron.yaml', '--project', 'nobody')
    assert done.returncode == 1
    assert 'deploy the application first' in done.stderr


def test_a_wrong_file_is_not_sent(controller, appscale, tmp_path):
    file = tmp_path / 'cron.yaml'
    file.write_text('cron:\n- url: /a\n  schedule: every day\n'
                    '  timezone: Mars/X\n')
    done = appscale('deploy', file, '--project', 'guest')
    assert done.returncode == 4
    assert f"{file}:3:13: schedule 'every day' failed to parse" in done.stderr
    assert f"{file}:4:13: timezone 'Mars/X' is unknown" in done.stderr
    assert not controller.calls
    done = appscale('deploy', tmp_path / 'x' / 'cron.yaml')
    assert done.returncode == 2 and 'there is no file' in done.stderr


@pytest.mark.parametrize('name,text', [
    ('cron.yaml', CRON),
    ('WEB-INF/cron.xml', '<cronentries><cron><url>/a</url><schedule>every 5 '
                         'minutes</schedule></cron></cronentries>'),
])
def test_deploy_takes_the_jobs_along(controller, root, tmp_path, name, text):
    folder = tmp_path / 'guest'
    (folder / name).parent.mkdir(parents=True)
    (folder / 'app.yaml').write_text('runtime: python311\n')
    (folder / name).write_text(text)
    runtimes = tmp_path / 'runtimes'
    (runtimes / 'python').mkdir(parents=True)
    done = run([paths.APPSCALE, 'deploy', folder, '--root', root],
               env={'APPSCALE_RUNTIMES': str(runtimes)})
    assert done.returncode == 0
    assert controller.cron_files == {'guest': (name.split('/')[-1], text)}
    calls = [c for c in controller.calls if c.startswith(('PUT', 'POST'))]
    assert calls[-2].endswith('/versions') and calls[-1].endswith('/cron')
