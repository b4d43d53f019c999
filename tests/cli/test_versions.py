"""`appscale versions`, `services`, `rollback`, and several files at once."""
import json

import pytest

from lib.platform import Platform

SERVER = '''
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f'{os.environ["GAE_SERVICE"]} {os.environ["GAE_VERSION"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])),
                                Handler).serve_forever()
'''
APP = 'runtime: python311\nentrypoint: python server.py\nservice: {}\n{}'


def write(folder, service='default', more=''):
    folder.mkdir()
    (folder / 'server.py').write_text(SERVER)
    (folder / 'app.yaml').write_text(APP.format(service, more))
    return folder


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    p = Platform()
    try:
        p.up()
        yield p
    finally:
        p.close()


@pytest.fixture(scope='module')
def app(platform, tmp_path_factory):
    """Two services, deployed with their dispatch.yaml in one command."""
    top = tmp_path_factory.mktemp('shop')
    web, api = write(top / 'web'), write(top / 'api', 'reports', MANUAL)
    (top / 'dispatch.yaml').write_text(
        'dispatch:\n- url: "*/api/*"\n  service: reports\n')
    said = platform.cli('deploy', '--project', 'shop', '--version', 'v1',
                        str(top / 'dispatch.yaml'), str(api), str(web))
    assert 'dispatch.yaml of shop counts from now on' in said.stdout
    return top


MANUAL = 'manual_scaling:\n  instances: 1\n'


def ask(platform, host='shop.localhost', path='/'):
    import http.client
    import urllib.parse
    url = urllib.parse.urlsplit(platform.json('status')['url'])
    conn = http.client.HTTPConnection('127.0.0.1', url.port, timeout=60)
    conn.request('GET', path, headers={'Host': host})
    answer = conn.getresponse()
    text = answer.read().decode()
    conn.close()
    return text if answer.status == 200 else answer.status


def versions(platform):
    return {(v['name'].split('/')[3], v['id'])
            for v in json.loads(platform.cli('versions', 'list',
                                             '--json').stdout)}


def test_several_files_go_in_one_command(platform, app):
    assert ask(platform) == 'default v1'
    assert ask(platform, path='/api/x') == 'reports v1'
    assert ask(platform, 'reports.shop.localhost') == 'reports v1'
    listed = platform.cli('versions', 'list').stdout
    assert 'default' in listed and '100 %' in listed and 'manual' in listed
    assert versions(platform) == {('default', 'v1'), ('reports', 'v1')}


def test_a_mistake_in_one_file_stops_all(platform, app, tmp_path):
    good, bad = write(tmp_path / 'good'), write(tmp_path / 'bad', 'Bad')
    done = platform.cli('deploy', '--project', 'shop', '--version', 'no',
                        str(good), str(bad), check=False)
    assert done.returncode == 4 and 'bad/app.yaml' in done.stderr
    assert not [v for v in versions(platform) if v[1] == 'no']


def test_traffic_is_shared_moved_and_taken_back(platform, app):
    platform.cli('deploy', '--project', 'shop', '--version', 'v2',
                 '--no-promote', str(app / 'web'))
    assert ask(platform) == 'default v1'
    assert ask(platform, 'v2.shop.localhost') == 'default v2'
    said = platform.cli('services', 'set-traffic', 'default', '--splits',
                        'v1=1,v2=1', '--split-by', 'random').stdout
    assert 'v1 50 %' in said and 'by chance' in said
    assert {ask(platform) for _ in range(40)} == {'default v1', 'default v2'}
    platform.cli('versions', 'migrate', 'v2')
    assert ask(platform) == 'default v2'
    assert 'v1 50 %' in platform.cli('rollback').stdout
    platform.cli('services', 'set-traffic', 'default', '--splits', 'v1=1')
    assert ask(platform) == 'default v1'
    refused = platform.cli('services', 'set-traffic', 'default', '--splits',
                           'v9=1', check=False)
    assert refused.returncode == 1 and 'v9' in refused.stderr
    platform.cli('versions', 'delete', 'v2', '--yes')
    assert ('default', 'v2') not in versions(platform)


def test_a_version_is_stopped_and_started(platform, app):
    assert 'is stopped' in platform.cli('versions', 'stop', 'v1', '--service',
                                        'reports').stdout
    assert ask(platform, 'reports.shop.localhost') == 503
    platform.cli('versions', 'start', 'v1', '--service', 'reports')
    assert ask(platform, 'reports.shop.localhost') == 'reports v1'
    refused = platform.cli('versions', 'stop', 'v1', check=False)
    assert refused.returncode == 1 and 'scaling' in refused.stderr


def test_how_a_service_scales_is_seen_and_set(platform, app):
    said = platform.cli('services', 'scaling', 'default', '--set',
                        'max_instances=3,interval=2s').stdout
    assert 'max_instances' in said and '"2s"' in said
    assert 'max_instances' in platform.cli('services', 'scaling',
                                           'default').stdout
    wrong = platform.cli('services', 'scaling', 'default', '--set',
                         'target_cpu_utilization=2', check=False)
    assert wrong.returncode == 1 and 'target_cpu' in wrong.stderr
    said = platform.cli('services', 'scaling', 'default', '--unset',
                        'max_instances,interval').stdout
    assert 'as its versions say.' in said


def test_a_service_is_deleted(platform, app):
    refused = platform.cli('services', 'delete', 'reports', '--yes', check=False)
    assert refused.returncode == 1 and 'dispatch' in refused.stderr
    (app / 'dispatch.yaml').write_text('dispatch: []\n')
    platform.cli('deploy', '--project', 'shop', str(app / 'dispatch.yaml'))
    platform.cli('services', 'delete', 'reports', '--yes')
    assert 'reports' not in platform.cli('services', 'list').stdout
