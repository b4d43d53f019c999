"""An app that runs tasks: it records what it is asked and answers as told.

    with TaskApp() as app:
        app.answer = lambda r: 500 if r.retries == 0 else 200
        ... Emulator(app_url=app.url) ...
        first = app.wait(1)[0]

`answer` gets a Request and gives a status, or (status, headers), or Hang().
"""
import http.server
import threading
import time

from lib import paths


class Request:
    def __init__(self, handler, body):
        self.method = handler.command
        self.path = handler.path
        self.items = handler.headers.items()
        self.headers = {k.lower(): v for k, v in self.items}
        self.body = body
        self.time = time.time()

    def __getitem__(self, name):
        return self.headers.get(f'x-appengine-{name}'.lower())

    @property
    def name(self):
        return self['TaskName']

    @property
    def retries(self):
        return int(self['TaskRetryCount'])


class Hang:
    """No answer at all; the connection ends when the app does."""


class TaskApp:
    def __init__(self, port=0):
        self.answer = lambda request: 200
        self.requests = []
        self.running = self.most = 0
        self._changed = threading.Condition()
        self._over = threading.Event()
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def handle_any(self):
                n = int(self.headers.get('Content-Length') or 0)
                app._serve(self, Request(self, self.rfile.read(n)))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(('127.0.0.1', port), Handler)
        self.port = self.server.server_port
        self.url = f'http://127.0.0.1:{self.port}'

    def _serve(self, handler, request):
        with self._changed:
            self.requests.append(request)
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
        try:
            answer = self.answer(request)
        finally:
            with self._changed:
                self.running -= 1
        if isinstance(answer, Hang):
            self._over.wait()
            handler.close_connection = True
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header('Content-Length', '0')
        handler.end_headers()

    def wait(self, n, timeout=20):
        """The requests, once there are n."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= n,
                                          timeout * paths.SLOWNESS):
                raise AssertionError(
                    f'{len(self.requests)} of {n} requests came: '
                    f'{[(r.path, r.name) for r in self.requests]}')
            return list(self.requests)

    def forget(self):
        with self._changed:
            self.requests.clear()
            self.most = 0

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
