"""A WSGI app with the SDK's deferred library, for tests/sdk/test_deferred.py.

`/defer?n=N` defers write(N); the deferred call puts an entity.
"""
import os
import socketserver
import wsgiref.simple_server
from urllib.parse import parse_qs

from google.appengine.api import wrap_wsgi_app
from google.appengine.ext import deferred, ndb


class Done(ndb.Model):
    tries = ndb.IntegerProperty(default=0)
    size = ndb.IntegerProperty()


def write(n, text='', fail=0):
    done = Done.get_or_insert(n)
    done.tries += 1
    done.size = len(text)
    done.put()
    if done.tries <= fail:
        raise deferred.SingularTaskFailure()
    if fail < 0:
        raise deferred.PermanentTaskFailure()


def app(environ, start_response):
    query = parse_qs(environ.get('QUERY_STRING', ''))
    n = query['n'][0]
    if environ['PATH_INFO'] == '/defer':
        deferred.defer(write, n, 'x' * int(query.get('size', ['0'])[0]),
                       fail=int(query.get('fail', ['0'])[0]))
        answer = 'deferred'
    else:
        done = Done.get_by_id(n)
        answer = f'{done.tries} {done.size}' if done else 'none'
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [answer.encode()]


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


if __name__ == '__main__':
    server = wsgiref.simple_server.make_server(
        '127.0.0.1', int(os.environ['PORT']),
        wrap_wsgi_app(app, use_deferred=True), server_class=Server)
    print('listening', flush=True)
    server.serve_forever()
