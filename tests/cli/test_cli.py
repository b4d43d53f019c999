"""The command line against a controller that only pretends."""
import datetime
import io
import json
import os
import tarfile

import pytest

from lib import paths
from lib.controller import FakeController
from lib.process import Process, run


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'root'


@pytest.fixture
def controller(root):
    with FakeController(str(root)) as c:
        yield c


@pytest.fixture
def app(tmp_path):
    """A small application in a folder whose name is a project id."""
    folder = tmp_path / 'guest'
    folder.mkdir()
    (folder / 'app.yaml').write_text(
        'runtime: python311\nhandlers:\n- url: /s\n  static_dir: static\n')
    (folder / 'main.py').write_text('app = None\n')
    (folder / '.secret').write_text('left out')
    return folder


@pytest.fixture
def appscale(root, tmp_path):
    """Runs a command; the installation hosts Python and nothing else."""
    runtimes = tmp_path / 'runtimes'
    (runtimes / 'python').mkdir(parents=True)

    def call(*args, **kwargs):
        return run([paths.APPSCALE, *args, '--root', root], check=False,
                   env={'NO_COLOR': '1', 'APPSCALE_RUNTIMES': str(runtimes)},
                   **kwargs)
    return call


def unpacked(controller):
    (data,) = controller.uploads.values()
    return tarfile.open(fileobj=io.BytesIO(data), mode='r:gz')


G_YAML = """indexes:
- kind: G
  ancestor: yes
  properties:
  - name: n
  - name: date
    direction: desc
"""


def test_deploy_packs_uploads_creates_and_prints_the_address(
        controller, app, appscale):
    (app / 'index.yaml').write_text(G_YAML)
    done = appscale('deploy', app, '--version', 'v1')
    assert done.returncode == 0, done.stderr
    assert 'http://guest.localhost:8080' in done.stdout
    assert 'Building' in done.stderr
    version = controller.versions['guest/default/v1']
    assert version['runtime'] == 'python311'
    assert version['handlers'][0]['staticFiles']['path'] == 'static/\\1'
    assert unpacked(controller).getnames() == [
        'app.yaml', 'index.yaml', 'main.py']
    assert controller.indexes == {'guest': G_YAML}
    assert 'Indexes being built' in done.stdout
    assert '\n  G (n, -date) ancestor\n' in done.stdout


def test_the_indexes_of_a_war_are_sent_as_an_index_yaml(
        controller, app, appscale):
    (app / 'WEB-INF').mkdir()
    (app / 'WEB-INF' / 'datastore-indexes.xml').write_text(
        '<datastore-indexes autoGenerate="false">'
        '<datastore-index kind="G" ancestor="true">'
        '<property name="y" direction="desc"/></datastore-index>'
        '</datastore-indexes>')
    assert appscale('deploy', app).returncode == 0
    assert controller.indexes == {
        'guest': 'indexes:\n- kind: G\n  ancestor: yes\n  properties:\n'
                 '  - name: "y"\n    direction: desc\n'}
    (app / 'index.yaml').write_text(G_YAML)
    assert appscale('deploy', app).returncode == 0
    assert controller.indexes == {'guest': G_YAML}


def index(number, state='READY', named=True, **more):
    return {'indexId': number, 'kind': 'G', 'ancestor': 'NONE',
            'properties': [{'name': f'p{number}', 'direction': 'ASCENDING'}],
            'state': state, 'named': named, 'entries': 7, 'entriesExact': True,
            'progress': {'workCompleted': 0, 'workEstimated': 0}, **more}


@pytest.fixture
def indexed(controller):
    controller.apps['guest'] = {'id': 'guest'}
    controller.index_list = {'deployed': True, 'indexes': [
        index(1),
        index(2, 'CREATING', progress={'workCompleted': 40,
                                       'workEstimated': 160}),
        index(3, named=False, entries=100000, entriesExact=False),
        index(4, 'DELETING', False, progress={'workCompleted': 5,
                                              'workEstimated': 0}),
        index(5, 'ERROR', False)]}
    return controller


@pytest.mark.parametrize('project', [['guest'], []])
def test_indexes_are_listed_with_how_far_they_are(indexed, appscale, project):
    done = appscale('datastore', 'indexes', *project)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [' '.join(line) for line in lines[1:]] == [
        'guest G (p1) serving 7 yes',
        'guest G (p2) building 25 % (40 of 160) 7 yes',
        'guest G (p3) serving over 100000 no',
        'guest G (p4) deleting (5 gone) 7 no',
        'guest G (p5) error: an entity has too many entries for it 7 no']
    done = appscale('datastore', 'indexes', 'guest', '--json')
    assert json.loads(done.stdout) == indexed.index_list


def test_vacuum_shows_asks_and_deletes(indexed, appscale):
    done = appscale('datastore', 'vacuum', 'guest')
    assert done.returncode == 2 and 'add --yes' in done.stderr
    assert 'G (p3): 100000+ entries' in done.stderr
    assert 'G (p5): 7 entries' in done.stderr
    assert 'p1' not in done.stderr and 'p4' not in done.stderr
    assert indexed.vacuumed == []
    done = appscale('datastore', 'vacuum', 'guest', '--yes')
    assert done.returncode == 0 and done.stdout.startswith('2 deleted;')
    assert indexed.vacuumed == [3, 5]


def test_vacuum_with_nothing_to_do_or_to_go_by(indexed, appscale):
    indexed.index_list['indexes'] = [index(1)]
    done = appscale('datastore', 'vacuum', 'guest', '--yes')
    assert done.returncode == 0 and 'is in its index.yaml' in done.stdout
    indexed.index_list['deployed'] = False
    done = appscale('datastore', 'vacuum', 'guest', '--yes')
    assert done.returncode == 1 and 'was ever deployed' in done.stderr
    done = appscale('datastore', 'vacuum', 'nobody', '--yes')
    assert done.returncode == 1 and 'no project nobody' in done.stderr
    assert indexed.vacuumed == []


def test_an_unchanged_folder_is_not_sent_twice(controller, app, appscale):
    assert appscale('deploy', app, '--version', 'v1').returncode == 0
    os.utime(app / 'main.py', (1, 1))
    assert appscale('deploy', app, '--version', 'v2').returncode == 0
    sent = [c for c in controller.calls if c.startswith('POST /v1/uploads')]
    assert len(sent) == 1
    assert set(controller.versions) == {'guest/default/v1', 'guest/default/v2'}


def test_a_large_archive_travels_in_pieces_and_goes_on_where_it_stopped(
        controller, app, appscale):
    (app / 'noise').write_bytes(os.urandom(9 << 20))
    assert appscale('deploy', app).returncode == 0
    sent = [c for c in controller.calls if c.startswith('POST /v1/uploads')]
    assert len(sent) == 3
    (sha, data), = controller.uploads.items()
    controller.uploads[sha] = data[:5 << 20]
    controller.calls.clear()
    assert appscale('deploy', app).returncode == 0
    assert controller.uploads[sha] == data
    sent = [c for c in controller.calls if c.startswith('POST /v1/uploads')]
    assert len(sent) == 2


def test_project_comes_from_option_then_file_then_folder(
        controller, app, appscale):
    (app / 'app.yaml').write_text('runtime: python311\nproject: named\n')
    assert appscale('deploy', app, '--version', 'a').returncode == 0
    assert appscale('deploy', app, '--version', 'a', '--project',
                    'given').returncode == 0
    assert set(controller.versions) == {'named/default/a', 'given/default/a'}
    odd = app.rename(app.parent / 'Not_A_Project')
    (odd / 'app.yaml').write_text('runtime: python311\n')
    done = appscale('deploy', odd)
    assert done.returncode == 2
    assert '--project ID' in done.stderr


def test_no_promote_leaves_the_traffic(controller, app, appscale):
    done = appscale('deploy', app, '--version', 'v1', '--no-promote', '--json')
    assert controller.versions['guest/default/v1']['promote'] == 'false'
    answer = json.loads(done.stdout)
    assert answer.pop('sentBytes') == answer.pop('archiveBytes') > 0
    assert answer == {
        'project': 'guest', 'service': 'default', 'version': 'v1',
        'url': 'http://v1-dot-guest.localhost'}


@pytest.mark.parametrize('name, text, story', [
    ('app.yaml', 'runtime: python311\nfoo: 1\n',
     "app.yaml:2:1: Unexpected attribute 'foo' for object of type "
     'AppInfoExternal.'),
    ('app.yaml', 'runtime: cobol85\n', "'cobol85' is not a runtime"),
    ('app.yaml', 'runtime: java21\n',
     'Available: python (such as python311).'),
    ('index.yaml', 'indexes:\n- ancestor: yes\n',
     'index.yaml:2:3: Missing required value "kind"'),
    ('index.yaml', 'indexes:\n- kind: A\n',
     'index.yaml:2:3: An index needs properties.'),
    ('WEB-INF/datastore-indexes.xml',
     '<datastore-indexes autoGenerate="true">\n  <index/>\n'
     '</datastore-indexes>',
     'datastore-indexes.xml:2:3: Unexpected element <index>'),
    ('.gcloudignore', '#!include:nowhere\n', 'includes nowhere'),
])
def test_a_bad_file_stops_the_deploy_before_anything_happens(
        controller, app, appscale, name, text, story):
    (app / name).parent.mkdir(exist_ok=True)
    (app / name).write_text(text)
    done = appscale('deploy', app)
    assert done.returncode == 4
    assert story in done.stderr
    assert 'Next:' in done.stderr
    assert not controller.apps and not controller.uploads


def test_a_failed_build_is_told_in_its_own_words(controller, app, appscale):
    controller.operation_error = 'pip: no such package\nlast line'
    done = appscale('deploy', app)
    assert done.returncode == 1
    assert 'pip: no such package\nlast line' in done.stderr
    assert 'what ran before goes on running' in done.stderr


def test_the_apis_refusal_is_passed_on(controller, app, appscale):
    controller.fail['POST /v1/apps'] = (507, 'The disk is full.')
    done = appscale('deploy', app)
    assert done.returncode == 1
    assert 'The disk is full.' in done.stderr


def test_without_a_platform_every_client_says_so(root, app, appscale):
    for args in (['status'], ['deploy', app], ['undeploy', 'guest'],
                 ['logs'], ['create-user', 'a@example.com']):
        done = appscale(*args)
        assert done.returncode == 3, args
        assert 'Next: appscale up' in done.stderr
    done = appscale('down')
    assert done.returncode == 0
    assert 'was not up' in done.stdout


def test_status_shows_processes_failures_and_applications(
        controller, app, appscale):
    appscale('deploy', app, '--version', 'v1')
    done = appscale('status')
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ['server', 'ready', '42', '2', 'h', '1', '9.0', 'MB'] in rows
    assert ['guest', 'default', 'v1', '100', '%', '1', 'of', '1', '0',
            'http://guest.localhost:8080'] in rows
    assert ['guest', 'default', 'idle', '-', '1', 'of', '1', '0',
            'http://idle-dot-x'] in rows
    assert 'bind() failed' in done.stdout
    assert json.loads(appscale('status', '--json').stdout)['ready'] is True


def test_undeploy_keeps_the_data_unless_told(controller, app, appscale):
    appscale('deploy', app)
    done = appscale('undeploy', 'guest', '--data')
    assert done.returncode == 2 and 'guest' in controller.apps
    assert appscale('undeploy', 'guest').returncode == 0
    assert controller.calls[-1] == 'data=None'
    done = appscale('undeploy', 'guest')
    assert done.returncode == 1
    assert 'There is no project guest.' in done.stderr


def test_create_user_makes_up_a_password_and_shows_it_once(
        controller, appscale):
    done = appscale('create-user', 'a@example.com', '--admin')
    user = controller.users['a@example.com']
    assert user['admin'] is True
    assert len(user['password']) == 20
    assert f'Password: {user["password"]}' in done.stdout
    done = appscale('create-user', 'a@example.com')
    assert done.returncode == 1
    assert '--replace' in done.stderr


def test_create_user_reads_a_password_from_standard_input(controller, root):
    import subprocess
    done = subprocess.run(
        [paths.APPSCALE, 'create-user', 'a@example.com', '--password-stdin',
         '--root', str(root)], input='correct horse\n', text=True,
        capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert controller.users['a@example.com']['password'] == 'correct horse'
    assert 'correct horse' not in done.stdout + done.stderr


@pytest.mark.parametrize('email', ['a', '@b', 'a@', 'a@b@c', 'a b@c'])
def test_create_user_refuses_what_is_no_address(controller, appscale, email):
    assert appscale('create-user', email).returncode == 2
    assert not controller.users


def test_logs_of_a_process_and_of_a_project(controller, app, appscale):
    head = '2026-11-26T08:00:00.000Z controller INFO'
    assert appscale('logs', '-n', '2').stdout == \
        f'{head} two\n{head} three\n'
    done = appscale('logs', 'nobody')
    assert done.returncode == 1 and 'nobody' in done.stderr
    appscale('deploy', app)
    assert appscale('logs', 'guest').stdout == (
        '- default.v1 i3 - plain\n'
        '2026-11-26T08:00:00.000Z default.v1 - ERROR GET / 500\n')
    assert json.loads(appscale('logs', 'guest', '--json').stdout)[0] == {
        'source': 'default.v1', 'severity': 'DEFAULT', 'instance': '3',
        'text': 'plain', 'json': {'a': 1}}
    assert appscale('logs', 'guest', '--build').stdout == 'guest built\n'


def test_logs_asks_for_what_the_options_say(controller, app, appscale):
    appscale('deploy', app)
    done = appscale('logs', 'guest', '--service', 's,t', '--service', 'u',
                    '--version', 'v',
                    '--instance', '2', '--severity', 'warning', '--grep',
                    'a b&c', '--until', '2026-11-26', '--since', '1d',
                    '--requests')
    assert done.returncode == 0, done.stderr
    query = controller.log_queries[-1]
    ago = datetime.datetime.now(datetime.timezone.utc) - \
        datetime.datetime.fromisoformat(
            query.pop('since').replace('Z', '+00:00'))
    assert 86399 < ago.total_seconds() < 86500
    assert query == {
        'lines': '100', 'service': 's,t,u', 'version': 'v', 'instance': '2',
        'severity': 'warning', 'text': 'a b&c', 'requests': 'only',
        'until': '2026-11-26T00:00:00Z'}


@pytest.mark.parametrize('words, says', [
    (['--service', 's'], 'goes with the name of a deployed project'),
    (['--since', 'yesterday'], 'write 10m, 2h or 3d'),
    (['--since', '10'], 'write 10m, 2h or 3d'),
    (['--since', ''], 'write 10m, 2h or 3d'),
    (['guest', '--requests', '--no-requests'], 'not both'),
])
def test_logs_says_what_does_not_fit(controller, app, appscale, words, says):
    appscale('deploy', app)
    done = appscale('logs', *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_logs_tells_of_lines_that_are_gone(controller, appscale):
    controller.lost = True
    done = appscale('logs')
    assert 'some lines are missing here' in done.stderr
    assert done.stdout.endswith(' three\n')


def test_logs_follow_prints_each_new_line_once(controller, root):
    p = Process([paths.APPSCALE, 'logs', '-f', '--root', root], name='logs')
    try:
        p.wait_line(' three$')
        with controller.lock:
            controller.logs['controller'] += ['three', 'four']
        p.wait_line(' four$')
        assert [line.split()[-1] for line in p.output().splitlines()] == [
            'one', 'two', 'three', 'three', 'four']
    finally:
        p.stop()


def test_the_datastore_is_made_read_only_for_one_and_for_all(
        appscale, controller):
    done = appscale('datastore', 'read-only', 'on', 'guest', '--json')
    assert json.loads(done.stdout) == {'all': False, 'apps': ['guest']}
    assert 'read-only for guest' in appscale('status').stdout
    done = appscale('datastore', 'read-only', 'on')
    assert 'read-only for every application' in done.stdout
    appscale('datastore', 'read-only', 'off')
    done = appscale('datastore', 'read-only', 'off', 'guest')
    assert done.stdout == 'The datastore takes writes of every application.\n'
    assert 'read-only' not in appscale('status').stdout


def test_datastore_stats_shows_each_kind(appscale, controller):
    figures = {'count': 3, 'entityBytes': 4500, 'builtinIndexBytes': 900,
               'builtinIndexCount': 9, 'compositeIndexBytes': 0,
               'compositeIndexCount': 0}
    controller.apps = {'guest': {'id': 'guest'}, 'other': {'id': 'other'}}
    controller.statistics['guest'] = {
        'id': 'guest', 'time': '2026-11-22T10:00:00.000Z', 'total': figures,
        'kinds': [{'kind': 'Greeting', **figures}]}
    shown = appscale('datastore', 'stats').stdout
    assert 'Greeting' in shown and '4.5 kB' in shown
    assert 'other has not been counted yet' in shown
    done = appscale('datastore', 'stats', 'guest', '--refresh', '--json')
    assert json.loads(done.stdout)['total']['count'] == 3
    assert 'POST /v1/apps/guest/datastore:count' in controller.calls


def test_datastore_verify_fails_as_long_as_a_fault_is_left(
        appscale, controller):
    controller.worked = {'entities': 7, 'indexRows': 20, 'notJudged': 0,
                         'faults': [], 'findings': []}
    done = appscale('datastore', 'verify', 'guest')
    assert done.returncode == 0
    assert '7 entities and 20 index rows' in done.stdout
    controller.worked['faults'] = [
        {'fault': 'stray_index_row', 'sentence': 'an index row too many',
         'found': 2, 'mended': 0}]
    controller.worked['findings'] = [
        {'fault': 'stray_index_row', 'where': 'kinds: A:1', 'mended': False}]
    done = appscale('datastore', 'verify', 'guest')
    assert done.returncode == 1
    assert 'an index row too many' in done.stdout
    assert 'kinds: A:1' in done.stdout
    assert 'appscale datastore verify --repair guest' in done.stderr
    controller.worked['faults'][0]['mended'] = 2
    done = appscale('datastore', 'verify', 'guest', '--repair', '--json')
    assert done.returncode == 0 and controller.repair
    assert json.loads(done.stdout)['faults'][0]['mended'] == 2


def test_datastore_compact_tells_the_sizes(appscale, controller):
    controller.worked = {'compacted': True, 'before': 3_000_000,
                         'after': 1_000_000}
    assert appscale('datastore', 'compact').stdout == (
        'The store took 3.0 MB and takes 1.0 MB now.\n')
    controller.worked = {'compacted': False, 'before': 0, 'after': 0}
    assert 'nothing that could be compacted' in appscale(
        'datastore', 'compact').stdout


def test_help_of_every_command(appscale):
    listed = [line.split()[0] for line in appscale('help').stdout.split(
        'Commands:\n')[1].split('\n\n')[0].splitlines()]
    assert 'deploy' in listed and 'emulator' in listed
    for name in listed:
        done = appscale(name, '--help')
        assert done.returncode == 0
        assert done.stdout.startswith(f'usage: appscale {name}')


@pytest.mark.parametrize('family', ['datastore', 'storage'])
def test_a_family_of_commands_lists_them(appscale, family):
    done = appscale(family, '--help')
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.split(
        'Commands:\n')[1].split('\n\n')[0].splitlines()]
    for name in listed:
        for words in ([family, name, '--help'], ['help', family, name]):
            shown = appscale(*words)
            assert shown.returncode == 0
            assert shown.stdout.startswith(f'usage: appscale {family} {name}')


@pytest.mark.parametrize('args', [
    ['nonsense'], ['deploy'], ['deploy', '/nowhere'], ['status', 'x'],
    ['status', '--nonsense'], ['emulator'], ['emulator', '--project', 'A_B'],
    ['emulator', '--project', 'a', '--port', 'x'],
    ['emulator', '/nowhere', '--project', 'a'], ['logs', '-n', '0'],
    ['datastore'], ['datastore', 'nonsense'],
    ['datastore', 'read-only'], ['datastore', 'read-only', 'perhaps'], ['help', 'datastore', 'nonsense'],
])
def test_what_is_not_understood_ends_with_status_2(appscale, args):
    done = appscale(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ''
    assert 'Next: appscale' in done.stderr


def test_init_writes_a_file_that_up_accepts_and_never_overwrites(
        appscale, tmp_path):
    assert appscale('init', cwd=tmp_path).returncode == 0
    text = (tmp_path / 'AppScalefile').read_text()
    assert '#http_port: 8080\n' in text
    assert appscale('init', cwd=tmp_path).returncode == 1
    assert (tmp_path / 'AppScalefile').read_text() == text


def test_a_bad_appscalefile_stops_up_with_line_and_reason(appscale, tmp_path):
    (tmp_path / 'AppScalefile').write_text('http_port: 8081\nhtp: 1\n')
    done = appscale('up', cwd=tmp_path)
    assert done.returncode == 4
    assert "AppScalefile:2:1: Unknown setting 'htp'" in done.stderr


def test_a_setting_with_choices_names_them(appscale, tmp_path):
    (tmp_path / 'AppScalefile').write_text('task_broker: kafka\n')
    done = appscale('up', cwd=tmp_path)
    assert done.returncode == 4
    assert ('AppScalefile:1:14: task_broker is "kafka", and must be none or '
            'rabbitmq') in done.stderr


def test_the_page_on_configuration_is_what_the_table_says(appscale):
    with open(os.path.join(paths.ROOT, 'docs', 'configuration.md')) as f:
        assert f.read() == appscale('help', 'config', '--markdown').stdout, (
            'make it again: build/bin/appscale help config --markdown '
            '> docs/configuration.md')


def test_clean_names_the_folder_and_spares_what_is_not_the_platforms(
        root, appscale):
    for name in ('data', 'run', 'logs', 'mine'):
        (root / name).mkdir(parents=True)
        (root / name / 'file').write_text('x')
    done = appscale('down', '--clean')
    assert done.returncode == 2 and str(root) in done.stderr
    assert (root / 'data' / 'file').exists()
    done = appscale('down', '--clean', '--yes')
    assert done.returncode == 0, done.stderr
    assert f'All its data in {root} is gone.' in done.stdout
    assert sorted(p.name for p in root.iterdir()) == ['mine']
    done = appscale('down', '--clean', '--yes')
    assert f'There was no data in {root}.' in done.stdout
