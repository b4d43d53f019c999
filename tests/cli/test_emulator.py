"""`appscale emulator` as a process: how it begins, and what it leaves."""
import os
import re
import signal
import socket

import pytest

from lib import paths
from lib.ports import free_port
from lib.process import Process


@pytest.fixture
def start(tmp_path):
    """Start an emulator with a folder for temporary things of its own."""
    started = []

    def call(*args):
        p = Process([paths.APPSCALE, 'emulator', '--project', 'guest', *args],
                    env={'TMPDIR': str(tmp_path)}, name='emulator')
        started.append(p)
        return p
    yield call
    for p in started:
        p.kill_session()


def port_of(process):
    return int(process.wait_line(r'^export API_PORT=(\d+)$')[1])


def children(pid):
    """The programs it runs, by name, without the folder's watchman."""
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        found = {}
        for child in f.read().split():
            with open(f'/proc/{child}/comm') as name:
                found[name.read().strip()] = int(child)
    found.pop('appscale-tidy', None)
    return found


def end_of(pid):
    """A handle that waits for a process that is not our child."""
    return os.pidfd_open(pid)


def wait_end(fd, seconds=10):
    import select
    ready, _, _ = select.select([fd], [], [], seconds * paths.SLOWNESS)
    os.close(fd)
    assert ready, 'still running'


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


def test_it_prints_where_it_listens_and_stops_cleanly(start, tmp_path):
    p = start('--port', '0')
    port = port_of(p)
    assert re.search('^export API_HOST=127.0.0.1$', p.output(), re.M)
    assert listens(port)
    assert os.listdir(tmp_path)
    assert p.stop() == 0
    assert not listens(port)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_stops_it_too(start, tmp_path):
    p = start()
    port_of(p)
    p.send(signal.SIGINT)
    assert p.wait() == 0
    assert os.listdir(tmp_path) == []


def test_it_takes_the_port_it_is_given(start):
    port = free_port()
    p = start('--port', str(port))
    assert port_of(p) == port


def test_a_taken_port_is_said_with_a_way_out(start, tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        p = start('--port', str(s.getsockname()[1]))
        assert p.wait() == 1
    assert '--port' in p.output()
    assert 'export' not in p.output()
    assert os.listdir(tmp_path) == []


def test_kill_9_leaves_neither_process_nor_folder(start, tmp_path):
    p = start()
    port = port_of(p)
    ends = [end_of(c) for c in children(p.pid).values()]
    folder = [n for n in os.listdir(tmp_path)]
    assert len(ends) == 2 and len(folder) == 1
    with open(f'/proc/{p.pid}/task/{p.pid}/children') as f:
        everyone = [end_of(int(c)) for c in f.read().split()]
    p.kill9()
    for end in ends + everyone:
        wait_end(end)
    assert not listens(port)
    assert os.listdir(tmp_path) == []


def test_a_dead_memcached_is_started_again(start):
    p = start()
    port_of(p)
    old = children(p.pid)['memcached']
    os.kill(old, signal.SIGKILL)
    p.wait_line('memcached was killed by signal 9')
    p.wait_line('memcached is back')
    new = children(p.pid)['memcached']
    assert new != old


def test_a_dead_server_ends_it_with_the_reason(start, tmp_path):
    p = start()
    port_of(p)
    os.kill(children(p.pid)['appscale-server'], signal.SIGKILL)
    assert p.wait() == 1
    assert 'appscale-server was killed by signal 9' in p.output()
    assert os.listdir(tmp_path) == []


def test_its_data_stays_where_it_was_told_to(start, tmp_path):
    data = tmp_path / 'deep' / 'data'
    p = start('--data', data)
    port_of(p)
    assert p.stop() == 0
    assert os.listdir(data)
    assert os.listdir(tmp_path) == ['deep']


def test_a_bad_index_yaml_is_refused_before_anything_starts(start, tmp_path):
    app = tmp_path / 'app'
    app.mkdir()
    (app / 'index.yaml').write_text('indexes:\n- kind: A\n  foo: 1\n')
    p = start(str(app))
    assert p.wait() == 4
    assert "index.yaml:3:3: Unexpected attribute 'foo'" in p.output()
    assert os.listdir(tmp_path) == ['app']
