"""Deployments: what goes wrong leaves what ran, what goes well loses nothing."""
import concurrent.futures
import glob
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import threading
import urllib.parse

import pytest
import requests

from flow import apps
from flow.machine import Failed
from lib import paths
from lib.process import run


def deploy(m, version, text, **kwargs):
    return m.deploy('demo', version, apps.server(text), **apps.PLAIN, **kwargs)


def test_an_instance_gets_the_environment_of_app_engine(running):
    env = running.get().json()['env']
    assert env['GAE_APPLICATION'] == 's~demo'
    assert env['GAE_ENV'] == 'standard'
    assert env['GAE_SERVICE'] == 'default'
    assert env['GAE_VERSION'] == 'one'
    assert env['GAE_RUNTIME'] == 'python311'
    assert env['GOOGLE_CLOUD_PROJECT'] == 'demo'
    assert env['API_HOST'] == '127.0.0.1'
    assert env['API_PORT'] == str(running.settings['api_port'])
    assert env['GAE_DEPLOYMENT_ID'].isdigit()
    assert re.fullmatch('[0-9a-f]{36}', env['GAE_INSTANCE'])


def test_what_a_client_may_not_say_is_stripped_and_said_by_us(running):
    said = {'X-Appengine-User-Email': 'root@example.com',
            'X-AppEngine-QueueName': 'default', 'X-Appengine-Foo': 'x',
            'X-Google-Internal-Skipadmincheck': 'true',
            'X_Appengine_User_Is_Admin': '1',
            'X-Appscale-User-Email': 'root@example.com',
            'X-Appscale-Backend': 'other', 'X-Custom': 'kept',
            'X-Forwarded-For': '1.2.3.4'}
    seen = {}
    for name, value in running.get(headers=said).json()['headers']:
        assert name.lower() not in seen, name
        seen[name.lower()] = value
    assert seen['x-custom'] == 'kept'
    assert not [n for n in seen if 'queuename' in n or 'foo' in n or
                'user-email' in n or 'user_is_admin' in n or
                n.startswith(('x-google', 'x-appscale'))]
    token, request = seen['x-appengine-api-ticket'].split('.')
    assert re.fullmatch('[0-9a-f]{48}', token)
    assert re.fullmatch('[0-9a-f]{32}', request)
    trace = re.fullmatch(r'([0-9a-f]{32})/(\d+);o=1',
                         seen['x-cloud-trace-context'])
    assert trace.group(1) == request
    assert seen['traceparent'] == \
        f'00-{request}-{int(trace.group(2)):016x}-01'
    assert seen['x-forwarded-for'] == '1.2.3.4, 127.0.0.1, 169.254.1.1'
    assert seen['x-appengine-user-ip'] == '127.0.0.1'
    assert seen['x-appengine-https'] == 'off'
    assert seen['x-appengine-auth-domain'] == 'gmail.com'
    assert seen['host'] == 'demo.localhost'
    assert bytes.fromhex(seen['x-appengine-request-log-id'])[13:].endswith(
        b'\0\1s~demo\0\1one\0\1\0')


def test_the_only_application_is_what_localhost_means(running):
    port = running.settings['http_port']
    app, = running.status()['apps']
    assert app['url'] == f'http://demo.localhost:{port}'
    assert app['localUrl'] == f'http://localhost:{port}'
    assert running.get(host='localhost').json()['text'] == 'one'
    running.api('POST', '/v1/apps', {'id': 'other'})
    assert all('localUrl' not in a for a in running.status()['apps'])
    running.finish(running.api('DELETE', '/v1/apps/other')[1])


def test_every_request_has_its_own_ticket(running):
    def ticket():
        return dict(running.get().json()['headers'])['x-appengine-api-ticket']
    assert ticket() != ticket()


def test_a_body_beyond_32_mb_is_refused(running):
    url = f'http://127.0.0.1:{running.settings["http_port"]}/'
    host = {'Host': 'demo.localhost'}
    ok = requests.post(url, data=b'x' * (31 << 20), headers=host)
    assert ok.status_code == 200
    try:
        over = requests.post(url, data=b'x' * (33 << 20), headers=host)
        assert over.status_code == 413
        assert 'Upload limited to 32 megabytes.' in over.text
    except requests.exceptions.ConnectionError:
        pass                    # refused before it was all sent


def test_no_one_outside_reaches_internal_paths(running):
    for path in ('/_ah/start', '/_ah/stop', '/_ah/background'):
        assert running.get(path).status_code == 404


def test_a_new_version_takes_over_without_a_lost_request(running):
    failed, done = [], threading.Event()

    def ask():
        while not done.is_set():
            answer = running.get()
            if answer.status_code != 200:
                failed.append(answer.status_code)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            steps = deploy(running, 'two', 'two')
            deploy(running, 'two', 'two again')
        finally:
            done.set()
        for a in asking:
            a.result()
    assert failed == []
    assert 'Starting instances' in steps
    assert running.get().json()['text'] == 'two again'
    deploy(running, 'one', 'one')


def test_a_version_without_traffic_is_left_out_until_it_gets_some(running):
    deploy(running, 'aside', 'aside', query='?promote=false')
    assert running.get().json()['text'] == 'one'
    status, op = running.api(
        'PATCH', '/v1/apps/demo/services/default?updateMask=split',
        {'split': {'allocations': {'aside': 1}}})
    assert status == 200
    running.finish(op)
    assert running.get().json()['text'] == 'aside'
    running.finish(running.api(
        'PATCH', '/v1/apps/demo/services/default?updateMask=split',
        {'split': {'allocations': {'one': 1}}})[1])
    running.finish(running.api(
        'DELETE', '/v1/apps/demo/services/default/versions/aside')[1])
    assert running.get().json()['text'] == 'one'


def test_traffic_that_cannot_be_recorded_stays_where_it_was(machine):
    machine.up(APPSCALE_ERRINJ='control.traffic.commit=1')
    machine.deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    deploy(machine, 'two', 'two', query='?promote=false')
    path = '/v1/apps/demo/services/default?updateMask=split'
    move = {'split': {'allocations': {'two': 1}}}
    with pytest.raises(Failed) as e:
        machine.finish(machine.api('PATCH', path, move)[1])
    assert 'injected' in str(e.value)
    assert machine.get().json()['text'] == 'one'
    machine.controller.wait_line('process.stopped name=demo/default/two', 20)
    machine.finish(machine.api('PATCH', path, move)[1])
    assert machine.get().json()['text'] == 'two'


def test_a_stop_in_the_middle_of_a_change_of_routes_stops(machine, tmp_path):
    """The check of haproxy's new file ends after haproxy has stopped."""
    real, slow = shutil.which('haproxy', path='/usr/sbin'), tmp_path / 'slow'
    wrapper = tmp_path / 'bin' / 'haproxy'
    wrapper.parent.mkdir()
    wrapper.write_text(f"""#!/bin/sh
[ "$1" != -c ] || [ ! -p {slow} ] || {{ echo >{slow}; sleep 2; }}
exec {real} "$@"
""")
    wrapper.chmod(0o755)
    machine.up(PATH=f'{wrapper.parent}:{os.environ["PATH"]}')
    machine.deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    os.mkfifo(slow)
    machine.begin('demo', 'two', apps.server('two'), **apps.PLAIN)
    slow.read_text()  # the check is under way
    slow.unlink()
    assert machine.down() == 0
    assert 'control.stopped' in machine.output()
    machine.up()
    assert machine.get().json()['text'] == 'one'
    versions = '/v1/apps/demo/services/default/versions'
    assert [v['id'] for v in machine.api('GET', versions)[1]['versions']] == [
        'one']


def test_static_files_come_from_nginx_with_their_expiration(running):
    files = {**apps.server('static'), 'pub/a.css': 'body {}',
             'pub/b.bin': 'bytes'}
    running.deploy('files', 'v1', files, **apps.PLAIN, handlers=[
        {'urlRegex': '/pub/(.*)', 'staticFiles': {
            'path': 'pub/\\1', 'uploadPathRegex': 'pub/.*',
            'expiration': '120s'}},
        {'urlRegex': '/exact', 'staticFiles': {
            'path': 'pub/b.bin', 'mimeType': 'text/x-mine',
            'httpHeaders': {'X-Mine': 'yes $1'}}}])

    def get(path):
        return running.get(path, host='files.localhost')
    css = get('/pub/a.css')
    assert css.text == 'body {}'
    assert css.headers['Content-Type'] == 'text/css'
    assert 'max-age=120' in css.headers['Cache-Control']
    assert 'public' in css.headers['Cache-Control']
    exact = get('/exact')
    assert exact.headers['Content-Type'] == 'text/x-mine'
    assert exact.headers['X-Mine'] == 'yes $1'
    assert get('/pub/none').status_code == 404
    assert get('/pub/').status_code == 404
    assert get('/pub/..%2fserver.py').json()['text'] == 'static'  # no file
    assert get('/exactly').json()['path'] == '/exactly'
    running.finish(running.api('DELETE', '/v1/apps/files')[1])
    assert running.api('GET', '/v1/apps/files')[0] == 404


def test_a_named_group_of_a_pattern_names_nothing_of_ours(running):
    running.deploy('names', 'v1', {**apps.server('named'), 'a.txt': 'a'},
                   **apps.PLAIN, handlers=[
        {'urlRegex': '/x/(?P<appscale_backend>.*)/(?<host>.*)',
         'script': {'scriptPath': 'auto'}},
        {'urlRegex': "/(?'user_admin'.).txt", 'staticFiles': {
            'path': '\\1.txt', 'uploadPathRegex': '.*'}}])
    there = running.get('/x/server/y', host='names.localhost')
    assert (there.status_code, there.json()['text']) == (200, 'named')
    assert running.get('/a.txt', host='names.localhost').text == 'a'
    running.finish(running.api('DELETE', '/v1/apps/names')[1])


@pytest.mark.parametrize('project, build, parser', [
    ('fast', {}, 'True'),
    ('plain', {'CC': '/bin/false', 'PIP_NO_BINARY': 'gunicorn_h1c'}, 'False')])
def test_gunicorn_parses_in_c_where_that_can_be_built(running, project, build,
                                                      parser):
    main = 'import sys\n\n\ndef app(environ, start):\n' \
           '    start("200 OK", [])\n' \
           '    return [str("gunicorn_h1c" in sys.modules).encode()]\n'
    running.deploy(project, 'v1', {'main.py': main}, buildEnvVariables=build)
    assert running.get(host=f'{project}.localhost').text == parser
    running.finish(running.api('DELETE', f'/v1/apps/{project}')[1])


def test_an_unknown_requirement_stops_the_deployment_with_its_line(running):
    files = {**apps.server('bad'),
             'requirements.txt': '# mine\nno-such-package-zz==99\n'}
    with pytest.raises(Failed) as e:
        running.deploy('demo', 'bad', files, **apps.PLAIN)
    assert 'requirements.txt, line 2' in str(e.value)
    assert 'no-such-package-zz==99' in str(e.value)
    assert running.get().json()['text'] == 'one'


def test_an_application_that_ends_is_shown_with_its_last_lines(running):
    with pytest.raises(Failed) as e:
        running.deploy('demo', 'ends', {'x.py': 'raise KeyError("mine")\n'},
                       entrypoint={'shell': 'python x.py'})
    assert 'ended with exit status 1 before it listened' in str(e.value)
    assert "KeyError: 'mine'" in str(e.value)
    assert running.get().json()['text'] == 'one'
    assert [v['id'] for v in running.api(
        'GET', '/v1/apps/demo/services/default/versions')[1]['versions']
        if v['id'] == 'ends'] == []


def test_last_words_that_are_no_text_are_shown_as_far_as_they_go(running):
    text = 'import os\nos.write(1, b"caf\\xe9\\n")\nraise SystemExit(3)\n'
    with pytest.raises(Failed) as e:
        running.deploy('demo', 'latin', {'x.py': text},
                       entrypoint={'shell': 'python x.py'})
    assert 'caf\ufffd' in str(e.value)
    assert running.get().json()['text'] == 'one'


def test_an_application_that_does_not_listen_is_given_up(machine):
    machine.settings['start_seconds'] = 2
    with open(machine.config, 'w') as f:
        json.dump(machine.settings, f)
    machine.up()
    text = 'print("waiting for what", flush=True)\nimport time\n' \
           'time.sleep(1000)\n'
    with pytest.raises(Failed) as e:
        machine.deploy('demo', 'mute', {'x.py': text},
                       entrypoint={'shell': 'python x.py'})
    assert 'did not listen within 2 s' in str(e.value)
    assert 'waiting for what' in str(e.value)
    assert machine.status()['apps'][0]['services'] == []


def test_a_bad_version_is_refused_before_anything_starts(running):
    for doc, want in [
            ({'version': 'a_b'}, 'no version id'),
            ({'version': 'default'}, 'reserved'),
            ({'runtime': '7'}, 'runtime is "7"'),
            ({'handlers': [{'urlRegex': '/a\n'}]}, 'handlers[0]'),
            ({'handlers': [{'urlRegex': '/a)|(b'}]}, 'does not compile'),
            ({'handlers': [{'urlRegex': '/a', 'staticFiles': {
                'path': 'x', 'httpHeaders': {'X-A': 'b\nX-C: d'}}}]},
             'handlers[0]'),
            ({'handlers': [{'urlRegex': '/a', 'staticFiles':
                            {'path': '../x'}}]}, 'must stay inside')]:
        with pytest.raises(Failed) as e:
            deploy(running, **{'version': 'bad', 'text': 'bad', **doc})
        assert want in str(e.value)


@pytest.mark.parametrize('point', ['control.deploy.prepare',
                                   'control.deploy.switch'])
def test_a_crash_in_the_middle_leaves_what_ran(machine, point):
    machine.up(APPSCALE_ERRINJ='').deploy('demo', 'one', apps.server('one'),
                                          **apps.PLAIN)
    assert machine.down() == 0
    machine.up(APPSCALE_ERRINJ=f'{point}=1')
    assert machine.get().json()['text'] == 'one'    # it runs, not just will
    try:
        op = machine.begin('demo', 'two', apps.server('two'), **apps.PLAIN)
    except (ConnectionError, http.client.HTTPException):
        op = None       # it died before it had answered
    assert machine.controller.wait() == -signal.SIGKILL
    assert machine.get().json()['text'] == 'one'
    machine.up()
    assert machine.get().json()['text'] == 'one'
    if op:
        with pytest.raises(Failed, match='was restarted during this change'):
            machine.finish(op)
    machine.deploy('demo', 'two', apps.server('two'), **apps.PLAIN)
    assert machine.get().json()['text'] == 'two'


def test_a_lost_cache_is_made_again_from_the_store(machine):
    machine.up().deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    machine.down()
    shutil.rmtree(os.path.join(machine.root, 'apps'))
    machine.up()
    assert machine.get().json()['text'] == 'one'


def test_a_handler_may_demand_a_sign_in(running):
    running.deploy('gated', 'v1', {**apps.server('gated'), 's.txt': 'static'},
                   **apps.PLAIN, handlers=[
        {'urlRegex': '/in', 'script': {'scriptPath': 'auto'},
         'login': 'LOGIN_REQUIRED'},
        {'urlRegex': '/s', 'staticFiles': {'path': 's.txt'},
         'login': 'LOGIN_REQUIRED',
         'authFailAction': 'AUTH_FAIL_ACTION_UNAUTHORIZED'},
        {'urlRegex': '/boss', 'script': {'scriptPath': 'auto'},
         'login': 'LOGIN_ADMIN'}])
    host = f'gated.localhost:{running.settings["http_port"]}'

    def get(path, cookie=''):
        return running.get(path, host=host, headers={'Cookie': cookie})

    out = get('/in?a=b&c=d')
    assert out.status_code == 302
    assert out.headers['Location'].endswith(
        '/_ah/login?continue=' +
        urllib.parse.quote(f'http://{host}/in?a=b&c=d', safe=''))
    assert get('/s').status_code == 401
    assert get('/boss').status_code == 302
    assert get('/free').json()['text'] == 'gated'

    running.api('POST', '/v1/platform/users', {
        'email': 'ann@example.com', 'password': 'secret-1'})
    cookie = running.sign_in(host, 'ann@example.com', 'secret-1')
    seen = dict(get('/in', cookie).json()['headers'])
    seen = {k.lower(): v for k, v in seen.items()}
    assert seen['x-appengine-user-email'] == 'ann@example.com'
    assert seen['x-appengine-user-is-admin'] == '0'
    assert get('/s', cookie).text == 'static'
    assert get('/boss', cookie).status_code == 403
    running.api('POST', '/v1/platform/users', {
        'email': 'ann@example.com', 'password': 'secret-2', 'admin': True,
        'replace': True})
    assert get('/in', cookie).status_code == 302     # an older password
    cookie = running.sign_in(host, 'ann@example.com', 'secret-2')
    assert get('/boss', cookie).json()['text'] == 'gated'


# ---- only what has changed travels ----

BIG = 300


def make_app(folder, text, data=None):
    """An application whose archive is too large to be sent whole."""
    folder.mkdir(exist_ok=True)
    (folder / 'app.yaml').write_text(
        'runtime: python311\nentrypoint: python server.py\n')
    (folder / 'server.py').write_text(apps.server(text)['server.py'])
    for i in range(BIG):
        (folder / f'd{i}').write_bytes(
            data or hashlib.sha512(b'%d' % i).digest() * 2 +
            random.Random(i).randbytes(2000))
    return str(folder)


def send(m, folder, *more, ok=True, project='travel'):
    """`appscale deploy`: its JSON, or what it said."""
    done = run([paths.APPSCALE, 'deploy', folder, '--json', '--project',
                project, '--root', m.root, *more], check=False)
    assert (done.returncode == 0) == ok, done.stderr
    return json.loads(done.stdout) if ok else done.stderr


def deployed(m, project='travel'):
    """The files of the newest deployment."""
    newest = max(glob.glob(f'{m.root}/apps/{project}/default/*/*/app'),
                 key=lambda path: int(path.split('/')[-2]))
    return {os.path.basename(p): open(p, 'rb').read()
            for p in glob.glob(newest + '/*') if os.path.isfile(p)}


def folder_files(folder):
    return {name: open(os.path.join(folder, name), 'rb').read()
            for name in os.listdir(folder)}


def test_only_what_has_changed_travels(machine, tmp_path):
    m = machine.up()
    folder = tmp_path / 'app'
    first = send(m, make_app(folder, 'one'))
    assert first['sentBytes'] == first['archiveBytes'] > 500_000
    assert m.get(host='travel.localhost').json()['text'] == 'one'
    assert send(m, str(folder))['sentBytes'] == 0
    make_app(folder, 'two')
    (folder / 'd7').unlink()
    (folder / 'new').write_text('new')
    change = send(m, str(folder))
    assert 0 < change['sentBytes'] < first['sentBytes'] / 5
    assert m.get(host='travel.localhost').json()['text'] == 'two'
    assert deployed(m) == folder_files(folder)
    # What another project has is nobody's base.
    other = send(m, str(folder), project='other')
    assert other['sentBytes'] == other['archiveBytes']
    # The store has it whole: another machine, or this one without its cache.
    m.down()
    shutil.rmtree(os.path.join(m.root, 'apps'))
    shutil.rmtree(os.path.join(m.root, 'cache', 'bases'))
    m.up()
    assert m.get(host='travel.localhost').json()['text'] == 'two'
    assert deployed(m) == folder_files(folder)
    make_app(folder, 'three')
    again = send(m, str(folder))
    assert again['sentBytes'] == again['archiveBytes']


def test_a_damaged_base_is_no_harm(machine, tmp_path):
    m = machine.up()
    folder = tmp_path / 'app'
    send(m, make_app(folder, 'one'))
    base = os.path.join(m.root, 'cache', 'bases', 'travel.default')
    with open(base, 'r+b') as f:
        f.seek(os.path.getsize(base) // 2)
        f.write(b'damage')
    make_app(folder, 'two')
    assert send(m, str(folder))['sentBytes'] > 0
    assert m.get(host='travel.localhost').json()['text'] == 'two'
    assert deployed(m) == folder_files(folder)
    with open(base, 'wb') as f:
        f.write(b'no archive at all')
    make_app(folder, 'three')
    answer = send(m, str(folder))
    assert answer['sentBytes'] == answer['archiveBytes']


@pytest.mark.parametrize('point', ['written', 'joined'])
def test_a_crash_while_joining_leaves_what_ran(machine, tmp_path, point):
    m = machine.up()
    folder = tmp_path / 'app'
    send(m, make_app(folder, 'one'))
    m.down()
    m.up(APPSCALE_ERRINJ=f'control.join.{point}=1')
    make_app(folder, 'two')
    send(m, str(folder), ok=False)
    assert m.controller.wait() == -signal.SIGKILL
    m.up()
    assert m.get(host='travel.localhost').json()['text'] == 'one'
    send(m, str(folder))
    assert m.get(host='travel.localhost').json()['text'] == 'two'
    assert deployed(m) == folder_files(folder)


@pytest.mark.parametrize('body, query, status', [
    ({}, '', 400), ({'members': []}, '', 400), ({'members': ['x']}, '', 400),
    ({'members': [7]}, '', 400), ({'members': 7}, '', 400),
    ({'members': ['0' * 64]}, '&pack=..', 404),
    ({'members': ['0' * 64]}, '&pack=' + '0' * 64, 404),
    ({'members': ['0' * 64] * 20001}, '', 400)])
def test_a_join_of_nonsense_is_refused(running, body, query, status):
    where = f'/v1/archives/{"a" * 64}:join?project=demo&service=default'
    assert running.api('POST', where + query, body)[0] == status


@pytest.mark.parametrize('project, service', [
    ('../..', 'default'), ('demo', '../x'), ('', ''), ('demo', 'a.b')])
def test_a_base_is_named_by_ids_alone(running, project, service):
    where = f'/v1/archives/{"a" * 64}:plan?' + urllib.parse.urlencode(
        {'project': project, 'service': service})
    assert running.api('POST', where, {'members': ['0' * 64]})[0] == 400
    assert running.api(
        'POST', f'/v1/archives/{"a" * 64}:plan?project=demo&service=nobody',
        {'members': ['0' * 64]}) == (200, {'missing': [0]})


def test_what_nobody_needs_is_swept(machine, tmp_path):
    m = machine.up()
    send(m, make_app(tmp_path / 'app', 'one'))
    m.down()
    cache = os.path.join(m.root, 'cache')
    for name in 'bases/gone.default', 'uploads/' + '1' * 64, 'uploads/young':
        with open(os.path.join(cache, name), 'w'):
            pass
    os.utime(os.path.join(cache, 'uploads', '1' * 64), (1, 1))
    m.up()
    for name in 'gone', '1111':
        m.controller.wait_line(f'join.swept file=.*/{name}', 20)
    assert os.listdir(os.path.join(cache, 'bases')) == ['travel.default']
    assert os.listdir(os.path.join(cache, 'uploads')) == ['young']
