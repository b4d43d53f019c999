"""Instances: they come when they are needed, and go when they are not."""
import concurrent.futures
import os
import re
import signal
import time

import pytest
import requests

from flow import apps
from flow.machine import Failed, Machine
from lib import paths

# Remembers the platform's own requests; answers them as START says.
SERVER = '''
import http.server, json, os, sys, threading, time

seen, held = [], []

LIFE = os.urandom(8).hex()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status = 200
        if self.path.startswith("/_ah/"):
            seen.append([self.path, self.headers["X-Appengine-User-Ip"]])
            os.write(1, f"asked {self.path}\\n".encode())
            if self.path == "/_ah/start":
                status = int(os.environ.get("START", "404"))
        if self.path.startswith("/slow"):
            time.sleep(float(self.path.split("=")[1]))
        if self.path.startswith("/fill"):
            held.append(bytearray(int(self.path.split("=")[1]) << 20))
        body = json.dumps({"life": LIFE, "seen": seen,
                           "env": dict(os.environ)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''
FILES = {'server.py': SERVER}
INSTANCE = 'demo/default/'


@pytest.fixture
def up(machine):
    return machine.up()


def deploy(m, version='one', query='', **more):
    m.deploy('demo', version, FILES, query=query, **apps.PLAIN, **more)
    m.ready()


def instances(m, version='one', service='default'):
    return m.api('GET', f'/v1/apps/demo/services/{service}/versions/{version}'
                 '/instances')[1]['instances']


def until(condition, within=60):
    end = time.monotonic() + within * paths.SLOWNESS
    while not (got := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return got


def pids(m):
    return {p['name']: p['pid'] for p in m.status()['processes']
            if p['name'].startswith('demo/') and p['state'] == 'ready'}


def test_a_version_without_traffic_is_started_by_a_request_for_it(up):
    deploy(up)
    deploy(up, 'two', '?promote=false')
    deploy(up, 'three')
    host = 'one-dot-default-dot-demo.localhost'
    until(lambda: not instances(up))
    body = os.urandom(300_000)
    answer = requests.post(
        f'http://127.0.0.1:{up.settings["http_port"]}/', data=body,
        headers={'Host': host}, timeout=60 * paths.SLOWNESS)
    assert answer.status_code == 200
    assert answer.json()['env']['GAE_VERSION'] == 'one'
    assert len(instances(up)) == 1


def test_many_requests_that_wait_start_one_instance(up):
    deploy(up)
    deploy(up, 'two')
    until(lambda: not instances(up))
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(
            lambda _: up.get(host='one-dot-demo.localhost').status_code,
            range(30)))
    assert answers == [200] * 30
    assert len(re.findall('scale.wake', up.output(1000))) == 1


def test_requests_wait_while_the_only_instance_is_started_again(up):
    deploy(up)
    for _ in range(3):
        before = up.get().json()['life']
        os.kill(up.app_pid('demo/'), signal.SIGKILL)
        answer = up.get()
        assert answer.status_code == 200 and answer.json()['life'] != before


def test_a_get_is_asked_again_when_its_instance_dies_and_a_post_is_not(up):
    deploy(up)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for method, want in ('GET', 200), ('POST', 502):
            before = up.get().json()['life']
            call = pool.submit(
                requests.request, method,
                f'http://127.0.0.1:{up.settings["http_port"]}/slow=2',
                headers={'Host': 'demo.localhost'}, data=b'x',
                timeout=60 * paths.SLOWNESS)
            until(lambda: running(up) == 1)
            os.kill(up.app_pid('demo/'), signal.SIGKILL)
            assert call.result().status_code == want, method


def running(m):
    """Requests in the hands of instances, as haproxy counts them."""
    import socket
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.path.join(m.root, 'run', 'haproxy.admin.sock'))
    s.sendall(b'show stat -1 4 -1\n')
    text = b''.join(iter(lambda: s.recv(65536), b'')).decode()
    s.close()
    return sum(int(line.split(',')[4]) for line in text.splitlines()
               if line.startswith('demo:'))


def test_manual_instances_hear_of_start_and_stop(up):
    deploy(up, manualScaling={'instances': 3})
    assert len(instances(up)) == 3
    assert {i['id'] for i in instances(up)} == {'0', '1', '2'}
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda _: up.get('/slow=0.3').json(),
                                range(9)))
    assert {a['env']['GAE_INSTANCE'] for a in answers} == {'0', '1', '2'}
    assert all(a['seen'] == [['/_ah/start', '0.1.0.3']] for a in answers)
    up.finish(up.api('DELETE', '/v1/apps/demo')[1])
    log = open(os.path.join(up.root, 'logs', 'demo.default.one.log')).read()
    assert log.count('asked /_ah/stop') == 3


@pytest.mark.parametrize('scaling', [{'manualScaling': {'instances': 1}},
                                     {'basicScaling': {'maxInstances': 2}}])
def test_an_instance_may_refuse_to_start(up, scaling):
    with pytest.raises(Failed, match='refused /_ah/start'):
        deploy(up, envVariables={'START': '500'}, **scaling)


def test_a_basic_instance_goes_when_idle_and_comes_with_a_request(up):
    deploy(up, basicScaling={'maxInstances': 2, 'idleTimeout': '1s'})
    for _ in range(2):
        until(lambda: not instances(up))
        answer = up.get()
        assert answer.status_code == 200
        assert answer.json()['seen'] == [['/_ah/start', '0.1.0.3']]


def test_load_brings_instances_and_none_of_it_fails(up):
    deploy(up, automaticScaling={
        'maxConcurrentRequests': 2, 'minPendingLatency': '0.010s',
        'maxPendingLatency': '0.100s',
        'standardSchedulerSettings': {'maxInstances': 4}})
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: up.get('/slow=0.3').status_code,
                                range(150)))
    assert answers == [200] * 150
    assert 2 <= len(instances(up)) <= 4
    assert up.controller.wait_line('scale.up .*why=".*"', 1)


def test_automatic_instances_hear_of_no_start(up):
    deploy(up)
    assert '/_ah/start' not in [s[0] for s in up.get().json()['seen']]


def test_a_controller_finds_every_instance_again(up):
    deploy(up, manualScaling={'instances': 3})
    before = pids(up)
    os.kill(up.controller.pid, signal.SIGKILL)
    up.controller.wait(30)
    assert up.get().status_code == 200
    up.up()
    up.ready()
    assert pids(up) == before and len(before) == 3


def test_haproxy_knows_the_instances_after_its_death(up):
    deploy(up, manualScaling={'instances': 3})
    for _ in range(2):
        up.kill('haproxy')
        up.ready()
        assert up.get().status_code == 200
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda _: up.get('/slow=0.3').json(),
                                range(9)))
    assert {a['env']['GAE_INSTANCE'] for a in answers} == {'0', '1', '2'}


def test_an_instance_over_its_memory_is_replaced(up):
    deploy(up)
    before = up.get().json()['life']
    assert up.get('/fill=100').json()['life'] == before
    up.get('/fill=300')
    up.controller.wait_line('instance.memory .*class_mb=384', 30)
    until(lambda: up.get().json()['life'] != before)
    until(lambda: len(instances(up)) == 1)
