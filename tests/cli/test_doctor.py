"""`appscale doctor`: every check has something to find."""
import json
import socket

import pytest

from cli.test_versions import write
from lib import paths
from lib.platform import Platform
from lib.process import run


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    p = Platform()
    try:
        p.up()
        p.deploy(str(write(tmp_path_factory.mktemp('app') / 'web')),
                 '--project', 'shop', '--version', 'v1')
        yield p
    finally:
        p.close()


def doctor(root, cwd, **env):
    """Of a platform that is down: the findings by check, the status."""
    done = run([paths.APPSCALE, 'doctor', '--root', str(root), '--json'],
               cwd=str(cwd), env=env, check=False)
    return {f['check']: f for f in json.loads(done.stdout)}, done.returncode


def test_a_machine_in_order_gets_no_complaint(tmp_path):
    with socket.socket() as s, socket.socket() as t, socket.socket() as u:
        for one in (s, t, u):
            one.bind(('127.0.0.1', 0))
        ports = [one.getsockname()[1] for one in (s, t, u)]
    (tmp_path / 'AppScalefile').write_text(
        'http_port: {}\nhttps_port: {}\napi_port: {}\n'.format(*ports))
    found, status = doctor(tmp_path / 'root', tmp_path)
    assert status == 0
    assert found['programs']['verdict'] == 'ok'
    assert found['ports']['verdict'] == 'ok'
    assert found['platform']['next'] == 'appscale up'
    assert {'folder', 'disk', 'files', 'clock', 'domain'} <= set(found)


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as s:
        s.bind(('0.0.0.0', 0))
        s.listen()
        port = s.getsockname()[1]
        (tmp_path / 'AppScalefile').write_text(f'http_port: {port}\n')
        found, status = doctor(tmp_path / 'root', tmp_path)
    assert status == 1 and found['ports']['verdict'] == 'bad'
    assert str(port) in found['ports']['sentence']


def test_a_mistake_in_the_settings_is_named(tmp_path):
    (tmp_path / 'AppScalefile').write_text('http_prot: 80\n')
    found, status = doctor(tmp_path / 'root', tmp_path)
    assert status == 1 and 'http_prot' in found['settings']['sentence']


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    found, status = doctor(tmp_path / 'file' / 'root', tmp_path)
    assert status == 1 and found['folder']['verdict'] == 'bad'


def test_a_name_that_does_not_resolve_is_a_warning(tmp_path):
    (tmp_path / 'AppScalefile').write_text('domain: nowhere.invalid\n')
    found, _ = doctor(tmp_path / 'root', tmp_path)
    assert found['domain']['verdict'] == 'warning'


def test_a_platform_that_is_up_tells_of_itself(platform):
    said = platform.cli('doctor').stdout
    assert 'the platform is up' in said and 'no process is failing' in said
    platform.cli('queues', 'pause', 'shop', 'default')
    assert 'queues default is paused' in platform.cli('doctor').stdout
    platform.cli('queues', 'resume', 'shop', 'default')
    platform.cli('datastore', 'read-only', 'on', 'shop')
    assert 'refuses the writes of shop' in platform.cli('doctor').stdout
    platform.cli('datastore', 'read-only', 'off', 'shop')


def test_the_status_shows_traffic_and_instances(platform):
    said = platform.cli('status').stdout
    line = next(one for one in said.splitlines() if one.startswith('shop '))
    assert '100 %' in line and '1 of 1' in line
