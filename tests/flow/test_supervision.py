"""What runs keeps running: every process is killed in turn."""
import contextlib
import datetime
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from flow import apps, sdkapp
from flow.machine import CONTROLLER, Machine
from flow.test_scaling import until
from lib import paths
from lib.process import Process

PARTS = ['memcached', 'server', 'haproxy', 'nginx']


def test_it_is_ready_within_5_s_and_small(machine):
    began = time.monotonic()
    status = machine.up().ready()
    assert time.monotonic() - began < 5 * paths.SLOWNESS
    assert status['ready']
    if paths.SLOWNESS == 1:
        assert status['memoryUsage'] < 150e6
    assert {p['name']: p['state'] for p in status['processes']} == {
        name: 'ready' for name in ['controller'] + PARTS}


@pytest.mark.parametrize('name', ['server', 'nginx', 'haproxy', 'memcached',
                                  'demo/'])
def test_a_killed_process_is_back_within_3_s(running, name):
    assert running.get().json()['text'] == 'one'
    began = time.monotonic()
    running.kill(name)
    assert running.get().json()['text'] == 'one'
    assert time.monotonic() - began < 3 * paths.SLOWNESS


def policies(machine, name):
    """Of a part and of those it has started."""
    until(lambda: machine.process(name)['state'] == 'ready', 20)
    master = machine.process(name)['pid']
    workers = subprocess.run(['pgrep', '-P', str(master)], text=True,
                             capture_output=True).stdout.split()
    assert workers
    return {os.sched_getscheduler(int(pid)) for pid in [master, *workers]}


def test_the_proxies_interrupt_no_instance(running):
    """Also the workers that a reload brought, and after a kill."""
    assert os.sched_getscheduler(running.app_pid('demo/')) == os.SCHED_OTHER
    for name in ['haproxy', 'nginx']:
        assert policies(running, name) == {os.SCHED_BATCH}
        running.kill(name)
        assert policies(running, name) == {os.SCHED_BATCH}


def test_a_request_waits_while_the_only_instance_starts_again(running):
    old = running.get().json()['life']
    pid = running.app_pid('demo/')
    gone = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([gone], [], [])
    os.close(gone)
    answer = running.get()
    assert answer.status_code == 200
    assert answer.json()['life'] != old


def test_calls_of_the_sdk_wait_while_the_server_starts_again(machine):
    """The application sees a late answer, and no refused connection."""
    machine.up()
    sdkapp.deploy(machine, 'demo', 'one')
    put = ('__import__("google.appengine.api.memcache").appengine.api'
           '.memcache.set("k", "v")')
    assert sdkapp.value(machine, put) is True
    for _ in range(5):
        machine.ready()
        pid = machine.process('server')['pid']
        gone = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([gone], [], [])
        os.close(gone)
        assert sdkapp.value(machine, put) is True
        assert machine.process('server')['pid'] != pid


def test_requests_that_kill_the_instance_stop_nobody_else(machine):
    """What works until it is killed is no crash loop: it is waited for."""
    machine.up().deploy('demo', 'one', {'server.py': apps.SERVER.replace(
        'self.send_response(200)',
        'self.path == "/poison" and os._exit(1); self.send_response(200)')},
                        **apps.PLAIN)
    for _ in range(6):
        assert machine.post('/poison').status_code == 502
        assert machine.get().status_code == 200
    assert machine.process('demo/')['restarts'] >= 6


@contextlib.contextmanager
def thief(port):
    """Who listens there, and hangs up on everybody."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                s.accept()[0].close()

    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', port))
        s.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            s.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_instance_whose_port_was_taken_gets_another_one(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    assert machine.get().json()['text'] == 'one'
    before = machine.process('demo/')
    gone = os.pidfd_open(machine.app_pid('demo/'))
    machine.controller.send(signal.SIGSTOP)
    os.kill(before['pid'], signal.SIGKILL)
    select.select([gone], [], [])
    os.close(gone)
    with thief(before['port']):
        machine.controller.send(signal.SIGCONT)
        until(lambda: machine.process('demo/')['restarts'] == 1 and
              machine.process('demo/')['state'] == 'ready')
        until(lambda: machine.get().status_code == 200)
        for _ in range(5):
            assert machine.get().json()['text'] == 'one'
    assert machine.process('demo/')['port'] != before['port']


def test_a_killed_controller_leaves_requests_going(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    before = machine.pids()
    life = machine.get().json()['life']
    began = started(machine)
    machine.controller.kill9()
    assert machine.get().json()['life'] == life
    machine.up()
    assert machine.pids() == before
    assert machine.get().json()['life'] == life
    assert all(p['restarts'] == 0 for p in machine.status()['processes'])
    # The kernel knows it to a hundredth.
    assert abs((started(machine) - began).total_seconds()) < 0.05


def started(machine):
    """When its first instance was, as the Admin API tells."""
    found = machine.api('GET', '/v1/apps/demo/services/default/versions/one'
                               '/instances')[1]['instances']
    return datetime.datetime.fromisoformat(
        found[0]['startTime'].replace('Z', '+00:00'))


def test_what_dies_with_the_controller_is_started_by_the_next(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    before = machine.pids()
    machine.controller.kill9()
    for name in ('nginx', 'server'):
        os.kill(before[name], signal.SIGKILL)
    machine.up()
    assert machine.get().json()['text'] == 'one'
    after = machine.pids()
    assert after['haproxy'] == before['haproxy']
    assert after['nginx'] != before['nginx']


def test_a_child_that_was_never_recorded_is_found_and_ended(machine):
    """The controller dies between the spawn and the state file."""
    machine.controller = Process(
        [CONTROLLER, '--root', machine.root, '--config', machine.config],
        env={'APPSCALE_ERRINJ': 'control.process.spawned=1'})
    assert machine.controller.wait() == -signal.SIGKILL
    assert machine.up().ready()['ready']
    marked = subprocess.run(
        ['pgrep', '-c', '-f', f'memcached -s {machine.root}'],
        capture_output=True, text=True).stdout.strip()
    assert marked == '1'


def test_down_and_up_keep_what_is_deployed(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    pids = machine.pids()
    assert machine.down() == 0
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    machine.up()
    assert machine.get().json()['text'] == 'one'


def test_the_api_shuts_down_in_order(machine):
    machine.up()
    assert machine.api('POST', '/v1/platform:shutdown')[0] == 200
    assert machine.controller.wait() == 0


def test_a_second_controller_is_refused(running):
    second = Process([CONTROLLER, '--root', running.root, '--config',
                      running.config])
    assert second.wait() == 1
    assert 'another controller runs in' in second.output()
    assert running.status()['ready']


def test_a_taken_port_is_named_with_who_has_it(tmp_path, cache, running):
    other = Machine(tmp_path / 'other', cache,
                    http_port=running.settings['http_port'])
    refused = Process([CONTROLLER, '--root', other.root, '--config',
                       other.config])
    assert refused.wait() == 1
    # Two hold it: who accepts, and who keeps it open meanwhile.
    assert re.search(f'port {running.settings["http_port"]} is taken by '
                     '(nginx|appscale-contro)', refused.output())


def test_a_bad_setting_is_named(tmp_path, cache):
    bad = Machine(tmp_path / 'bad', cache, memcached_mb=1)
    refused = Process([CONTROLLER, '--root', bad.root, '--config', bad.config])
    assert refused.wait() == 1
    assert 'memcached_mb is 1, and goes from 8 to' in refused.output()


def test_a_part_that_fails_again_and_again_is_called_failing(machine):
    """Its reason and its last lines are in the status."""
    machine.up()
    data = os.path.join(machine.root, 'data')
    os.rename(data, data + '.gone')
    with open(data, 'w'):
        pass
    os.kill(machine.process('server')['pid'], signal.SIGKILL)
    machine.controller.wait_line('process.down name=server .*again_ms=200', 20)
    server = machine.process('server')
    assert server['state'] == 'failing'
    assert server['lastError']
    os.unlink(data)
    os.rename(data + '.gone', data)
    machine.controller.wait_line(
        'process.down name=server .*\n?.*', 1)
    machine.erase()


def test_what_nginx_refuses_is_told_at_once_and_tried_again(tmp_path, cache):
    m = Machine(tmp_path / 'refused', cache, http_address='203.0.113.7')
    m.controller = Process([CONTROLLER, '--root', m.root, '--config',
                            m.config])
    try:
        first = m.controller.wait_line(r'^(\S+) .*routing.failed.*203', 30)
        m.controller.wait_line(
            rf'^(?!{re.escape(first.group(1))}).*routing.failed', 30)
        nginx = m.process('nginx')
        assert nginx['state'] == 'failing'
        assert 'bind() to 203.0.113.7' in ' '.join(nginx['lastError'])
        assert not m.status()['ready']
    finally:
        m.erase()


def test_what_is_no_text_is_answered_with_text(running):
    """JSON knows UTF-8 alone, and a client or a program may say anything."""
    status, answer = running.api('GET', '/v1/apps/%ff%C3')
    assert status == 404
    assert answer['error']['message'] == \
        'there is no application "\ufffd\ufffd"'
    assert running.status()['ready']
