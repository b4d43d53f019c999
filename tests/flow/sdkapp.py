"""An application with Google's SDK that evaluates what a test asks of it."""
import json
import os

from lib import paths

MAIN = '''
import json, os, threading, time

from google.appengine import api
from google.appengine.api import app_identity, background_thread, modules
from google.appengine.api import runtime
import google.auth
import google.auth.transport.requests
import requests
from google.oauth2 import id_token

told = {}          # what threads leave behind for the next request
LIFE = os.urandom(8).hex()  # of this instance, which has one process


def app(environ, start_response):
    """POST an expression; its value, or the error it ends with, as JSON."""
    text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        answer = {"value": eval(text or "None", globals())}
    except Exception as e:
        answer = {"error": type(e).__name__, "message": str(e)}
    body = json.dumps({**answer, "life": LIFE,
                       "instance": os.environ["GAE_INSTANCE"]}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


app = api.wrap_wsgi_app(app)
'''

with open(os.path.join(paths.EXAMPLES, 'guestbook', 'requirements.txt'),
          encoding='utf-8') as f:
    REQUIREMENTS = f.read()     # the same: an environment is made once

FILES = {'main.py': MAIN, 'requirements.txt': REQUIREMENTS}
MANUAL = {'envVariables': {'WEB_CONCURRENCY': '1'}, 'appEngineApis': True}


def deploy(machine, project, version, instances=None, service='default',
           **more):
    """Manual scaling with that many instances, or automatic without."""
    if instances:
        more['manualScaling'] = {'instances': instances}
    return machine.deploy(project, version, FILES, service=service,
                          **MANUAL, **more)


class Failed(Exception):
    """The class of the app's exception, and its message."""


def ask(machine, expression, host='demo.localhost'):
    """The whole answer to an expression: value, life, instance."""
    r = machine.post('/', host=host, data=expression)
    assert r.status_code == 200, r.text
    return json.loads(r.text)


def result(answer):
    if 'error' in answer:
        raise Failed(answer['error'], answer['message'])
    return answer['value']


def value(machine, expression, host='demo.localhost'):
    return result(ask(machine, expression, host))
