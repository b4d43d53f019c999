"""Cron: one run for each slot, whoever is killed; headers, retries, targets.

The scheduler's clock runs SPEED times as fast as the wall's, from a moment all
controllers of a test share, so a job of every minute runs every other second.
"""
import json
import os
import re
import signal
import time

import pytest

from flow.machine import CONTROLLER, Machine
from flow.test_logs import asked
from lib import paths
from lib.process import Process

SPEED = 30

# Writes a line for each request, at once; /fail fails as often as it is told,
# /slow says when it has begun and waits for a file.
APP = '''
import http.server, json, os, sys, time

ROOT = "ROOT_FOLDER"
seen = {}
if os.path.exists(ROOT + "/down"):
    sys.exit(1)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        seen[path] = seen.get(path, 0) + 1
        line = json.dumps({"path": self.path, "text": "TEXT",
                           "headers": self.headers.items()})
        with open(ROOT + "/runs", "a") as f:
            f.write(line + "\\n")
        if path == "/slow":
            while not os.path.exists(ROOT + "/go"):
                time.sleep(0.02)
        status = 500 if path == "/fail" and seen[path] < 3 else 200
        if path == "/moved":
            status = 302
        body = b"answer of " + path.encode()
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])),
                                Handler).serve_forever()
'''


class Cron:
    """A machine with an application whose runs are written down."""

    def __init__(self, machine, speed=SPEED):
        self.machine = machine
        self.root = machine.root
        self.clock = f'{time.time_ns() // 1000}:{speed}'
        self.up()
        self.deploy('one')

    def up(self, **env):
        self.machine.up(APPSCALE_CRON_CLOCK=self.clock, **env)
        return self

    def deploy(self, text, service='default', query='', **more):
        app = APP.replace('ROOT_FOLDER', self.root).replace('TEXT', text)
        self.machine.deploy('demo', text, {'server.py': app}, service=service,
                            query=query,
                            entrypoint={'shell': 'python server.py'}, **more)

    def jobs(self, text, want=200):
        status, op = self.machine.api(
            'PUT', '/v1/apps/demo/cron', {'file': 'cron.yaml', 'text': text})
        assert status == want, op
        return op

    def list(self):
        return self.machine.api('GET', '/v1/apps/demo/cron')[1]['jobs']

    def job(self, number=1, full=True):
        job = self.list()[number - 1]
        if not full:
            return job
        return self.machine.api('GET', f'/v1/apps/demo/cron/{job["id"]}')[1]

    def run(self, number=1):
        id = self.job(number, False)['id']
        status, job = self.machine.api('POST', f'/v1/apps/demo/cron/{id}/run')
        assert status == 200, job
        return job['run']['name']

    def runs(self, path=None):
        """What cron, or with a path anybody, has asked so far."""
        try:
            with open(os.path.join(self.root, 'runs')) as f:
                lines = [json.loads(line) for line in f
                         if line.endswith('\n')]
        except FileNotFoundError:
            lines = []
        for line in lines:
            line['headers'] = {k.lower(): v for k, v in line['headers']}
        return [r for r in lines
                if (path or r['path']) == r['path'] and
                (path or 'x-appengine-cron' in r['headers'])]

    def slots(self, path=None):
        return [r['headers']['x-appengine-tasketa'] for r in self.runs(path)]

    def wait(self, what, seconds=30):
        """Until what() is true; its value."""
        end = time.monotonic() + seconds * paths.SLOWNESS
        while time.monotonic() < end:
            value = what()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f'not within {seconds} s\n'
                             f'{self.runs()}\n{self.machine.output()}')

    def ended(self, name, number=1):
        """Wait for the end of a run: the job then."""
        def done():
            job = self.job(number)
            return job if job.get('lastRun', {}).get('name') == name else None
        return self.wait(done)

    def die(self):
        """Wait until a fault has killed the controller."""
        assert self.machine.controller.wait() == -signal.SIGKILL


@pytest.fixture
def cron(open_machine):
    """One whose processes may be killed."""
    c = Cron(open_machine)
    yield c


@pytest.fixture(scope='module')
def kept(tmp_path_factory, cache):
    m = Machine(tmp_path_factory.mktemp('cron'), cache, sandbox='off')
    yield Cron(m)
    m.erase()


@pytest.fixture
def shared(kept):
    """One that goes on for the next test, without jobs and runs."""
    kept.jobs('cron:\n')
    for name in ('runs', 'go'):
        if os.path.exists(os.path.join(kept.root, name)):
            os.unlink(os.path.join(kept.root, name))
    return kept


EVERY = ('cron:\n- url: /tick\n  schedule: every 1 minutes synchronized\n')


def test_a_request_looks_as_googles(shared):
    shared.jobs('cron:\n- url: /tick?a=1\n  schedule: every 1 minutes from '
              '00:00 to 23:59\n')
    run = shared.wait(lambda: shared.runs('/tick?a=1'))[0]
    h = run['headers']
    port = shared.machine.settings['http_port']
    assert h['x-appengine-cron'] == 'true'
    assert h['x-appengine-queuename'] == '__cron'
    assert re.fullmatch('[0-9a-f]{32}', h['x-appengine-taskname'])
    assert h['x-appengine-taskretrycount'] == '0'
    assert h['x-appengine-taskexecutioncount'] == '0'
    assert float(h['x-appengine-tasketa']) % 60 == 0
    assert 'x-appengine-taskpreviousresponse' not in h
    assert h['user-agent'] == \
        'AppEngine-Google; (+http://code.google.com/appengine)'
    assert h['x-appengine-user-ip'] == '0.1.0.2'
    assert h['x-forwarded-for'] == '0.1.0.2, 169.254.1.1'
    assert h['x-appengine-https'] == 'off'
    assert h['x-appengine-country'] == 'ZZ'
    assert h['host'] == f'demo.localhost:{port}'
    assert h['x-appengine-default-version-hostname'] == h['host']
    assert re.fullmatch(r'[0-9a-f]+\.[0-9a-f]+', h['x-appengine-api-ticket'])
    assert h['x-appengine-timeout-ms'] == '600000'
    assert not [k for k in h if k.startswith('x-appscale')]


def test_nobody_else_can_send_them(shared):
    shared.machine.get('/tick', headers={'X-Appengine-Cron': 'true',
                                       'X-AppEngine-QueueName': '__cron',
                                       'X-Appscale-Run': 'x',
                                       'X-Appscale-Timeout': '1'})
    h = shared.runs('/tick')[0]['headers']
    assert 'x-appengine-cron' not in h and 'x-appengine-queuename' not in h
    assert h['x-appengine-timeout-ms'] == '599999'


def test_slots_are_run_in_order_once_each(shared):
    shared.jobs(EVERY)
    shared.wait(lambda: len(shared.runs()) >= 4)
    slots = [float(s) for s in shared.slots()[:4]]
    assert all(b - a >= 60 and b % 60 == 0 for a, b in zip(slots, slots[1:]))
    shared.wait(lambda: 'lastRun' in shared.job())
    job = shared.job()
    assert job['lastRun']['outcome'] == 'SUCCEEDED'
    assert job['lastRun']['status'] == 200
    assert job['lastRun']['answer'] == 'answer of /tick'
    assert len(job['nextRuns']) == 5


# Each controller dies at the second time it comes to a step of a run: before
# the slot is claimed, with the claim, with the answer in hand, and when all is
# written down.  The fault stays in the environment, for that is part of what
# the other processes are started with: they go on.
@pytest.mark.parametrize('fault', ['due', 'claimed', 'answered', 'ended'])
def test_one_run_for_a_slot_though_controllers_die(cron, fault):
    env = {'APPSCALE_ERRINJ': f'control.cron.{fault}=1@1'}
    cron.machine.down()
    cron.up(**env).jobs(EVERY)
    for _ in range(4):
        cron.die()
        cron.up(**env)
    cron.wait(lambda: len(cron.runs()) >= 5)    # each had one at least
    slots = cron.slots()
    assert len(set(slots)) == len(slots), slots


def test_the_slot_at_which_the_controller_dies_is_run(cron):
    """It has been claimed, and nothing sent."""
    env = {'APPSCALE_ERRINJ': 'control.cron.claimed=1@1'}
    cron.machine.down()
    cron.up(**env).jobs(EVERY)
    cron.die()
    first = cron.slots()
    assert len(first) == 1
    cron.up(**env)
    second = cron.wait(lambda: cron.slots()[1:])[0]
    assert float(second) == float(first[0]) + 60


def test_runs_are_among_the_logged_requests(cron):
    """Also those of a haproxy that a deployment or its own end has changed;
    what came of a delivery is one line, whoever asks for it again."""
    began = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    def told(path):
        return cron.wait(lambda: asked(cron.machine, text=path, since=began))

    def run(path):
        cron.jobs(f'cron:\n- url: {path}\n  schedule: every 24 hours\n')
        cron.ended(cron.run())
        return told(path)

    assert run('/first?a=%22') == [
        ('default.one', '0', 'INFO', 'GET /first?a=%22 200 0.1.0.2')]
    cron.deploy('two', service='side')
    assert run('/second') == [
        ('default.one', '0', 'INFO', 'GET /second 200 0.1.0.2')]
    cron.machine.kill('haproxy')
    assert run('/moved') == [
        ('default.one', '0', 'INFO', 'GET /moved 302 0.1.0.2')]
    assert told('/first') == [
        ('default.one', '0', 'INFO', 'GET /first?a=%22 200 0.1.0.2')]


def test_a_run_that_goes_on_while_the_controller_dies_is_judged(cron):
    cron.jobs('cron:\n- url: /slow\n  schedule: every 24 hours\n')
    name = cron.run()
    cron.wait(lambda: cron.runs('/slow'))
    cron.machine.controller.kill9()
    cron.up()
    assert cron.job()['state'] == 'RUNNING'
    open(os.path.join(cron.root, 'go'), 'w').close()
    job = cron.ended(name)
    assert job['lastRun']['outcome'] == 'SUCCEEDED'
    assert job['lastRun']['status'] == 200
    assert len(cron.runs('/slow')) == 1


def test_what_nobody_knows_is_said_so_and_not_run_again(cron):
    """haproxy dies with the controller, and its memory with it."""
    cron.jobs('cron:\n- url: /slow\n  schedule: every 24 hours\n')
    name = cron.run()
    cron.wait(lambda: cron.runs('/slow'))
    haproxy = cron.machine.process('haproxy')['pid']
    cron.machine.controller.kill9()
    os.killpg(os.getpgid(haproxy), signal.SIGKILL)
    cron.up()
    job = cron.ended(name)
    assert job['lastRun']['outcome'] == 'UNKNOWN'
    assert 'restarted' in job['lastRun']['reason']
    assert len(cron.runs('/slow')) == 1
    open(os.path.join(cron.root, 'go'), 'w').close()


def test_one_run_for_a_slot_though_the_server_dies(cron):
    """It has written a row, and takes the answer along; so does the next."""
    cron.machine.down()
    cron.up(APPSCALE_ERRINJ='rocksdb.commit.written=1@6').jobs(EVERY)
    cron.wait(lambda: len(cron.runs()) >= 8, 60)
    assert cron.machine.process('server')['restarts'] >= 1
    slots = cron.slots()
    assert len(set(slots)) == len(slots), slots
    assert cron.wait(lambda: cron.job().get('lastRun'))['outcome'] == \
        'SUCCEEDED'


def test_kills_at_random_moments_leave_one_run_for_a_slot(cron):
    cron.jobs(EVERY)
    cron.wait(cron.runs)
    for i in range(5):
        n = len(cron.runs())
        cron.wait(lambda: len(cron.runs()) > n)
        time.sleep(0.37 * i)        # some moment of the next minute
        cron.machine.controller.kill9()
        cron.up()
    n = len(cron.runs())
    cron.wait(lambda: len(cron.runs()) > n + 1)
    slots = cron.slots()
    assert len(set(slots)) == len(slots)


def test_what_was_missed_is_made_up_for_once(cron):
    cron.jobs(EVERY)
    cron.wait(cron.runs)
    cron.machine.down()
    before = len(cron.runs())
    time.sleep(5 * 60 / SPEED)      # five slots
    cron.up()
    cron.wait(lambda: len(cron.runs()) >= before + 2)
    slots = [float(s) for s in cron.slots()]
    assert slots[before] - slots[before - 1] >= 300
    assert slots[before + 1] - slots[before] >= 60


def test_a_slot_during_a_run_is_left_out(shared):
    shared.jobs('cron:\n- url: /slow\n  schedule: every 1 minutes '
              'synchronized\n')
    shared.wait(lambda: shared.runs('/slow'))
    time.sleep(3 * 60 / SPEED)
    assert len(shared.runs('/slow')) == 1
    assert shared.job()['state'] == 'RUNNING'
    open(os.path.join(shared.root, 'go'), 'w').close()
    shared.wait(lambda: len(shared.runs('/slow')) == 2)
    a, b = (float(s) for s in shared.slots('/slow'))
    assert b - a > 120


def test_an_interval_counts_from_the_end_of_a_run(shared):
    shared.jobs('cron:\n- url: /tick\n  schedule: every 2 minutes\n')
    at = shared.job()['nextRuns']
    assert len(at) == 5
    shared.wait(lambda: len(shared.runs('/tick')) == 2)
    a, b = (float(s) for s in shared.slots('/tick'))
    assert b - a == 120


def test_failures_are_tried_again(shared):
    shared.jobs('cron:\n- url: /a\n  schedule: every 24 hours\n'
                '- url: /fail\n  schedule: every 1 minutes synchronized\n'
              '  retry_parameters: {job_retry_limit: 3, '
              'min_backoff_seconds: 2.0}\n')
    shared.wait(lambda: shared.job(2).get('lastRun'))
    runs = shared.runs('/fail')[:3]
    assert [r['headers']['x-appengine-taskretrycount'] for r in runs] == \
        ['0', '1', '2']
    assert [r['headers'].get('x-appengine-taskpreviousresponse')
            for r in runs] == [None, '500', '500']
    assert len({r['headers']['x-appengine-taskname'] for r in runs}) == 1
    eta = [float(r['headers']['x-appengine-tasketa']) for r in runs]
    assert eta[1] - eta[0] >= 2 and eta[2] - eta[1] >= 4
    last = shared.job(2)['lastRun']
    assert (last['outcome'], last['attempts']) == ('SUCCEEDED', 3)


def test_without_retry_parameters_a_failure_is_one(shared):
    shared.jobs('cron:\n- url: /moved\n  schedule: every 24 hours\n')
    last = shared.ended(shared.run())['lastRun']
    assert (last['outcome'], last['status'], last['attempts']) == \
        ('FAILED', 302, 1)
    assert 'redirect' in last['reason']
    assert last['manual']
    assert not shared.runs('/elsewhere')


def test_an_attempt_has_a_deadline(shared):
    shared.jobs('cron:\n- url: /slow\n  schedule: every 24 hours\n'
              '  attempt_deadline: 0.5s\n')
    last = shared.ended(shared.run())['lastRun']
    assert (last['outcome'], last['status']) == ('FAILED', 504)
    assert 'deadline' in last['reason']
    assert shared.runs('/slow')[0]['headers']['x-appengine-timeout-ms'] == '500'
    open(os.path.join(shared.root, 'go'), 'w').close()


def test_an_attempt_may_take_longer_than_other_requests(tmp_path, cache):
    machine = Machine(tmp_path / 'root', cache, request_seconds=1,
                      sandbox='off')
    try:
        cron = Cron(machine)
        cron.jobs('cron:\n- url: /slow\n  schedule: every 24 hours\n'
                  '  attempt_deadline: 60s\n')
        name = cron.run()
        cron.wait(lambda: cron.runs('/slow'))
        time.sleep(3)               # haproxy would have given up
        open(os.path.join(cron.root, 'go'), 'w').close()
        assert cron.ended(name)['lastRun']['outcome'] == 'SUCCEEDED'
    finally:
        machine.erase()


def test_targets_name_services_and_versions(cron):
    cron.deploy('two', service='worker')
    cron.jobs('cron:\n'
              '- {url: /a, schedule: every 24 hours}\n'
              '- {url: /b, schedule: every 24 hours, target: worker}\n'
              '- {url: /c, schedule: every 24 hours, target: one}\n'
              '- {url: /d, schedule: every 24 hours, target: "worker:two"}\n'
              '- {url: /e, schedule: every 24 hours, target: nobody}\n')
    for number in range(1, 6):
        cron.ended(cron.run(number), number)
    assert {r['path']: r['text'] for r in cron.runs()} == {
        '/a': 'one', '/b': 'two', '/c': 'one', '/d': 'two', '/e': 'one'}
    assert cron.runs('/b')[0]['headers']['host'].startswith(
        'worker-dot-demo.')


def test_jobs_without_a_target_follow_the_dispatch_rules(cron):
    cron.deploy('two', service='worker')
    m = cron.machine
    m.finish(m.api('PATCH', '/v1/apps/demo?updateMask=dispatchRules',
                   {'dispatchRules': [{'domain': '*', 'path': '/far/*',
                                       'service': 'worker'}]})[1])
    cron.jobs('cron:\n'
              '- {url: /near, schedule: every 24 hours}\n'
              '- {url: /far/a?b=c, schedule: every 24 hours}\n'
              '- {url: /far/b, schedule: every 24 hours, target: default}\n')
    for number in range(1, 4):
        cron.ended(cron.run(number), number)
    assert {r['path']: r['text'] for r in cron.runs()} == {
        '/near': 'one', '/far/a?b=c': 'two', '/far/b': 'one'}


def test_login_admin_lets_cron_in_and_login_required_does_not(cron):
    cron.deploy('two', handlers=[
        {'urlRegex': '/admin', 'login': 'LOGIN_ADMIN',
         'script': {'scriptPath': 'auto'}},
        {'urlRegex': '/member', 'login': 'LOGIN_REQUIRED',
         'script': {'scriptPath': 'auto'}},
        {'urlRegex': '/.*', 'script': {'scriptPath': 'auto'}}])
    cron.jobs('cron:\n- {url: /admin, schedule: every 24 hours}\n'
              '- {url: /member, schedule: every 24 hours}\n')
    assert cron.ended(cron.run(1), 1)['lastRun']['outcome'] == 'SUCCEEDED'
    last = cron.ended(cron.run(2), 2)['lastRun']
    assert (last['outcome'], last['status']) == ('FAILED', 302)
    assert 'login: admin' in last['reason']
    assert not cron.runs('/member')


def test_another_file_keeps_what_it_has_in_common(cron):
    cron.jobs('cron:\n- {url: /a, schedule: every 24 hours}\n'
              '- {url: /b, schedule: every 24 hours}\n')
    cron.ended(cron.run(1), 1)
    before = cron.job(1)
    cron.jobs('cron:\n- {url: /c, schedule: every 24 hours}\n'
              '- {url: /a, schedule: every 24 hours, description: again}\n')
    after = cron.job(2)
    assert after['description'] == 'again'
    assert (after['id'], after['lastRun'], after['nextRuns']) == \
        (before['id'], before['lastRun'], before['nextRuns'])
    assert [j['url'] for j in cron.list()] == ['/c', '/a']
    cron.machine.controller.kill9()
    cron.up()
    assert cron.job(2)['lastRun'] == before['lastRun']
    answer = cron.jobs('cron:\n- {url: /x, schedule: every day}\n', 400)
    assert 'cron.yaml:2:23: schedule' in answer['error']['message']
    assert [j['url'] for j in cron.list()] == ['/c', '/a']
    cron.jobs('cron:\n')
    assert cron.list() == []


def test_an_application_that_goes_takes_its_jobs_along(cron):
    cron.jobs(EVERY)
    cron.wait(cron.runs)
    cron.machine.finish(cron.machine.api('DELETE', '/v1/apps/demo')[1])
    n = len(cron.runs())
    cron.deploy('two')
    assert cron.list() == []
    time.sleep(2 * 60 / SPEED)
    assert len(cron.runs()) == n


def test_what_no_instance_takes_is_put_off(open_machine):
    machine = open_machine
    cron = Cron(machine, speed=6)
    cron.jobs(EVERY)
    cron.wait(cron.runs)
    down = os.path.join(cron.root, 'down')
    open(down, 'w').close()         # the application does not start
    os.kill(cron.machine.process('demo/')['pid'], signal.SIGKILL)
    run = cron.wait(lambda: cron.job()['state'] == 'RETRYING' and
                    cron.job().get('run'))
    assert run['reason'] == 'no instance took the request'
    os.unlink(down)
    headers = cron.wait(lambda: [
        r['headers'] for r in cron.runs()
        if r['headers']['x-appengine-taskname'] == run['name']])[0]
    assert int(headers['x-appengine-taskretrycount']) >= 1
    assert headers['x-appengine-taskexecutioncount'] == '0'
    job = cron.ended(run['name'])
    assert job['lastRun']['outcome'] == 'SUCCEEDED'


def test_a_clock_that_is_none_stops_the_start(machine):
    p = Process([CONTROLLER, '--root', machine.root, '--config',
                 machine.config], env={'APPSCALE_CRON_CLOCK': 'soon'})
    assert p.wait() == 1
    assert 'APPSCALE_CRON_CLOCK' in p.output()
