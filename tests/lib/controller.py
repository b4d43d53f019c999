"""A controller for the command line's tests: the Admin API without a platform.

    with FakeController(root) as controller:
        run([APPSCALE, 'deploy', ...])
        controller.versions['guest/default/v1']

It keeps what it is told in dictionaries, checks uploads as the real one does,
and fails on demand: controller.fail['POST /v1/apps'] = (507, 'no space').
"""
import hashlib
import http.server
import json
import os
import re
import socketserver
import threading
from urllib.parse import parse_qs, urlsplit


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def address_string(self):
        return 'unix'

    def _serve(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        status, answer = self.server.controller.answer(
            self.command, url.path, query, body)
        out = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


def error(code, message):
    return code, {'error': {'code': code, 'message': message}}


class FakeController:
    def __init__(self, root):
        self.apps, self.versions, self.indexes = {}, {}, {}
        self.uploads, self.users, self.operations = {}, {}, {}
        self.cron, self.cron_files = {}, {}  # project: what GET answers, sent
        self.cron_result = None     # what a run of a job comes to
        self.queues, self.tasks, self.ran = {}, {}, []   # P: [], P/Q: []
        self.drains = False         # attempts under way end one by one
        self.resumed = 'RUNNING'    # what :resume comes to
        self.empty_pages = False    # as of a queue with purged tasks
        self.task_result = None     # the status of a task's next attempt
        self.logs = {'controller': ['one', 'two', 'three']}
        self.log_queries, self.lost = [], False
        self.fail = {}              # "METHOD /path": (status, message)
        self.statistics, self.worked = {}, {}
        self.read_only = {'all': False, 'apps': []}
        self.operation_error = None  # what the next version's build says
        self.index_list, self.vacuumed = None, []
        self.calls = []
        os.makedirs(os.path.join(root, 'run'), exist_ok=True)
        self.path = os.path.join(root, 'run', 'controller.sock')
        self.server = _Server(self.path, _Handler)
        self.server.controller = self
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        if os.path.exists(self.path):
            os.unlink(self.path)

    # What is served: a pattern, a method, a function of (query, body, groups).
    def answer(self, method, path, query, body):
        with self.lock:
            self.calls.append(f'{method} {path}')
            if f'{method} {path}' in self.fail:
                return error(*self.fail[f'{method} {path}'])
            for want, pattern, serve in ROUTES:
                found = re.fullmatch(pattern, path)
                if want == method and found:
                    return serve(self, query, body, *found.groups())
            return error(404, f'no such path: {method} {path}')

    def _operation(self, project, done, **result):
        name = f'apps/{project}/operations/{len(self.operations) + 1}'
        self.operations[name] = {'name': name, 'done': True, **result}
        if done:
            return self.operations[name]
        return {'name': name, 'done': False,
                'metadata': {'ephemeralMessage': 'Building'}}

    def status(self, query, body):
        apps = [{'id': p, 'url': f'http://{p}.localhost:8080', 'services': [
                    {'id': k.split('/')[1], 'version': v['id'], 'instances': 1,
                     'url': f'http://{p}.localhost:8080',
                     'versions': [{'id': v['id'], 'share': 1, 'instances': 1,
                                   'ready': 1, 'requests': 0, 'waiting': 0,
                                   'state': 'serving'},
                                  {'id': 'idle', 'share': 0, 'instances': 1,
                                   'ready': 1, 'requests': 0, 'waiting': 0,
                                   'state': 'serving',
                                   'url': 'http://idle-dot-x'}]}
                    for k, v in self.versions.items()
                    if k.startswith(p + '/')]} for p in self.apps]
        return 200, {
            'version': '0.1.0', 'ready': True, 'url': 'http://localhost:8080',
            'memoryUsage': 12_345_678, 'apps': apps,
            'readOnly': self.read_only, 'processes': [
                {'name': 'server', 'state': 'ready', 'pid': 42, 'uptime': 7300,
                 'restarts': 1, 'memoryUsage': 9_000_000},
                {'name': 'nginx', 'state': 'failing', 'pid': 0, 'uptime': 0,
                 'restarts': 9, 'lastError': ['bind() failed']}]}

    def get_apps(self, query, body):
        return 200, {'apps': list(self.apps.values())}

    def get_app(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        return 200, self.apps[project]

    def post_app(self, query, body):
        project = json.loads(body)['id']
        self.apps[project] = {'id': project}
        return 200, self._operation(project, True)

    def delete_app(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        del self.apps[project]
        self.calls.append(f'data={query.get("data")}')
        return 200, self._operation(project, True)

    def put_indexes(self, query, body, project):
        self.indexes[project] = json.loads(body)['indexYaml']
        return 200, {'started': [{
            'indexId': 1, 'kind': 'G', 'ancestor': 'ALL_ANCESTORS',
            'properties': [{'name': 'n', 'direction': 'ASCENDING'},
                           {'name': 'date', 'direction': 'DESCENDING'}],
            'state': 'CREATING'}]}

    def get_apps(self, query, body):
        return 200, {'apps': list(self.apps.values())}

    def get_indexes(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        return 200, self.index_list

    def vacuum_indexes(self, query, body, project):
        self.vacuumed += json.loads(body)['indexIds']
        return 200, {'deleted': len(self.vacuumed)}

    def get_cron(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        return 200, self.cron.get(project, {'jobs': []})

    def put_cron(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        sent = json.loads(body)
        self.cron_files[project] = (sent['file'], sent['text'])
        return 200, self._operation(project, True, response={'jobs': [{}]})

    def _job(self, project, id):
        return next(j for j in self.cron[project]['jobs'] if j['id'] == id)

    # The second look at a run finds it ended.
    def get_job(self, query, body, project, id):
        job = self._job(project, id)
        answer = dict(job)
        if 'run' in job:
            job['lastRun'] = {**self.cron_result, **job.pop('run')}
        return 200, answer

    def run_job(self, query, body, project, id):
        job = self._job(project, id)
        job['run'] = {'name': 'f' * 32}
        return 200, dict(job)

    # A page of a list; the token is where the next one begins.
    def _page(self, name, items, query):
        at = int(query.get('pageToken', '0').rstrip('e'))
        if self.empty_pages and not query.get('pageToken', 'e').endswith('e'):
            return 200, {name: [], 'nextPageToken': f'{at}e'}
        end = at + int(query.get('pageSize', 100))
        answer = {name: items[at:end]}
        if end < len(items):
            answer['nextPageToken'] = str(end)
        return 200, answer

    def _queue(self, project, name):
        return next((q for q in self.queues.get(project, [])
                     if q['id'] == name), None)

    def get_queues(self, query, body, project):
        if project not in self.apps:
            return error(404, f'There is no project {project}.')
        return self._page('queues', self.queues[project], query)

    def get_queue(self, query, body, project, name):
        queue = self._queue(project, name)
        if queue is None:
            return error(404, f'There is no queue {name}.')
        running = queue['stats']['concurrentDispatchesCount']
        if self.drains and running:
            queue['stats']['concurrentDispatchesCount'] = running - 1
        return 200, queue

    def change_queue(self, query, body, project, name, verb):
        queue = self._queue(project, name)
        if queue is None:
            return error(404, f'There is no queue {name}.')
        if verb == 'purge':
            self.tasks[f'{project}/{name}'] = []
        else:
            queue['state'] = 'PAUSED' if verb == 'pause' else self.resumed
        return 200, queue

    def get_tasks(self, query, body, project, name):
        if self._queue(project, name) is None:
            return error(404, f'There is no queue {name}.')
        return self._page('tasks', self.tasks.get(f'{project}/{name}', []),
                          query)

    def _task(self, project, queue, name):
        return next((t for t in self.tasks.get(f'{project}/{queue}', [])
                     if t['id'] == name), None)

    # The second look at a task that runs finds what came of it.
    def get_task(self, query, body, project, queue, name):
        task = self._task(project, queue, name)
        if task is None:
            return error(404, f'There is no task {name}.')
        answer = dict(task)
        if f'{project}/{queue}/{name}' in self.ran and self.task_result:
            if self.task_result == 200:
                self.tasks[f'{project}/{queue}'].remove(task)
            else:
                task['lastAttempt'] = {
                    'dispatchTime': '2026-01-14T10:00:05.000Z'}
                if self.task_result != 'none':
                    task['lastAttempt']['httpStatus'] = self.task_result
        return 200, answer

    def run_task(self, query, body, project, queue, name):
        if self._task(project, queue, name) is None:
            return error(404, f'There is no task {name}.')
        self.ran.append(f'{project}/{queue}/{name}')
        return 200, {}

    def delete_task(self, query, body, project, queue, name):
        task = self._task(project, queue, name)
        if task is None:
            return error(404, f'There is no task {name}.')
        self.tasks[f'{project}/{queue}'].remove(task)
        return 200, {}

    def post_version(self, query, body, project, service):
        version = json.loads(body)
        upload = version['deployment']['zip']['sourceUrl']
        if upload.split('/')[1] not in self.uploads:
            return error(400, 'The archive was not uploaded.')
        if self.operation_error:
            return 200, self._operation(
                project, False,
                error={'code': 13, 'message': self.operation_error})
        self.versions[f'{project}/{service}/{version["id"]}'] = version
        version['promote'] = query.get('promote', 'true')
        return 200, self._operation(project, False, response={
            'id': version['id'],
            'versionUrl': f'http://{version["id"]}-dot-{project}.localhost'})

    def patch_datastore(self, query, body, project=None):
        on = json.loads(body)['readOnly']
        if project is None:
            self.read_only['all'] = on
        elif on and project not in self.read_only['apps']:
            self.read_only['apps'].append(project)
        elif not on and project in self.read_only['apps']:
            self.read_only['apps'].remove(project)
        return 200, self.read_only

    def work(self, query, body, project='-'):
        """The answer of long work is what the test has put there."""
        self.repair = json.loads(body)['repair'] if body else False
        return 200, self._operation(project, False, response=self.worked)

    def get_statistics(self, query, body, project):
        return 200, self.statistics.get(project, {'id': project})

    def get_operation(self, query, body, name):
        return 200, self.operations[name]

    def get_upload(self, query, body, sha):
        data = self.uploads.get(sha)
        if data is None:
            return error(404, 'unknown')
        complete = hashlib.sha256(data).hexdigest() == sha
        return 200, {'size': len(data), 'complete': complete}

    def post_upload(self, query, body, sha):
        if len(body) > 8 << 20:
            return error(413, 'A piece has at most 8 MiB.')
        data = self.uploads.get(sha, b'')
        if int(query['offset']) != len(data):
            return error(400, f'Go on at {len(data)}.')
        self.uploads[sha] = data + body
        return self.get_upload(query, body, sha)

    def post_user(self, query, body):
        user = json.loads(body)
        if user['email'] in self.users and not user['replace']:
            return error(409, 'This account exists.')
        self.users[user['email']] = user
        return 200, {}

    def get_platform_log(self, query, body):
        name = query.get('name', 'controller')
        if name not in self.logs:
            return error(404, f'There is no process {name}.')
        texts = self.logs[name]
        begin = int(query.get('cursor', max(
            0, len(texts) - int(query['lines']))))
        return 200, {
            'entries': [{'time': '2026-11-26T08:00:00.000Z', 'source': name,
                         'severity': 'INFO', 'text': t}
                        for t in texts[begin:]],
            'cursor': str(len(texts)), 'more': False, 'lost': self.lost}

    def get_app_log(self, query, body, project):
        self.log_queries.append(query)
        if 'build' in query:
            return 200, {'lines': [f'{project} built']}
        return 200, {
            'entries': [
                {'source': 'default.v1', 'severity': 'DEFAULT',
                 'instance': '3', 'text': 'plain', 'json': {'a': 1}},
                {'time': '2026-11-26T08:00:00.000Z', 'source': 'default.v1',
                 'severity': 'ERROR', 'request': True, 'text': 'GET / 500'}],
            'cursor': '0', 'more': False, 'lost': False}


ROUTES = [
    ('GET', r'/v1/platform/status', FakeController.status),
    ('GET', r'/v1/platform/logs', FakeController.get_platform_log),
    ('POST', r'/v1/platform/users', FakeController.post_user),
    ('PATCH', r'/v1/platform/datastore', FakeController.patch_datastore),
    ('PATCH', r'/v1/apps/([^/]+)/datastore', FakeController.patch_datastore),
    ('GET', r'/v1/apps', FakeController.get_apps),
    ('POST', r'/v1/platform/datastore:compact', FakeController.work),
    ('POST', r'/v1/apps/([^/]+)/datastore:(?:verify|count)',
     FakeController.work),
    ('GET', r'/v1/apps/([^/]+)/datastore/statistics',
     FakeController.get_statistics),
    ('POST', r'/v1/apps', FakeController.post_app),
    ('GET', r'/v1/apps', FakeController.get_apps),
    ('GET', r'/v1/apps/([^/]+)/indexes', FakeController.get_indexes),
    ('POST', r'/v1/apps/([^/]+)/indexes:vacuum',
     FakeController.vacuum_indexes),
    ('GET', r'/v1/apps/([^/]+)', FakeController.get_app),
    ('DELETE', r'/v1/apps/([^/]+)', FakeController.delete_app),
    ('GET', r'/v1/apps/([^/]+)/logs', FakeController.get_app_log),
    ('PUT', r'/v1/apps/([^/]+)/indexes', FakeController.put_indexes),
    ('GET', r'/v1/apps/([^/]+)/cron', FakeController.get_cron),
    ('PUT', r'/v1/apps/([^/]+)/cron', FakeController.put_cron),
    ('GET', r'/v1/apps/([^/]+)/cron/([^/]+)', FakeController.get_job),
    ('POST', r'/v1/apps/([^/]+)/cron/([^/]+)/run', FakeController.run_job),
    ('GET', r'/v1/apps/([^/]+)/queues', FakeController.get_queues),
    ('GET', r'/v1/apps/([^/]+)/queues/([^/:]+)', FakeController.get_queue),
    ('POST', r'/v1/apps/([^/]+)/queues/([^/:]+):(pause|resume|purge)',
     FakeController.change_queue),
    ('GET', r'/v1/apps/([^/]+)/queues/([^/]+)/tasks',
     FakeController.get_tasks),
    ('GET', r'/v1/apps/([^/]+)/queues/([^/]+)/tasks/([^/:]+)',
     FakeController.get_task),
    ('POST', r'/v1/apps/([^/]+)/queues/([^/]+)/tasks/([^/:]+):run',
     FakeController.run_task),
    ('DELETE', r'/v1/apps/([^/]+)/queues/([^/]+)/tasks/([^/:]+)',
     FakeController.delete_task),
    ('POST', r'/v1/apps/([^/]+)/services/([^/]+)/versions',
     FakeController.post_version),
    ('GET', r'/v1/(apps/[^/]+/operations/[^/]+)',
     FakeController.get_operation),
    ('GET', r'/v1/uploads/([0-9a-f]{64})', FakeController.get_upload),
    ('POST', r'/v1/uploads/([0-9a-f]{64})', FakeController.post_upload),
]
