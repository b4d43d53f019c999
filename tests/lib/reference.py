"""The SDK's own in-process stubs behind our wire: what the tests are held to.

    python -m lib.reference --project ID --port P

takes the place of `appscale emulator` when APPSCALE_REFERENCE is set.  A test
that fails here misunderstands the SDK; where the stub is known to be wrong,
the test says so with skip_on_reference.
"""
import argparse
import http.server
import signal
import socketserver
import sys
import threading
import traceback

from google.appengine.api import apiproxy_stub_map
from google.appengine.datastore import datastore_stub_util
from google.appengine.ext import testbed
from google.appengine.ext.remote_api import remote_api_bytes_pb2 as remote_api
from google.appengine.runtime import apiproxy_errors

LOCK = threading.Lock()         # the stubs are made for one thread


def answer(body):
    request = remote_api.Request.FromString(body)
    response = remote_api.Response()
    try:
        stub = apiproxy_stub_map.apiproxy.GetStub(request.service_name)
        if stub is None:
            raise apiproxy_errors.CallNotFoundError('no such service')
        with LOCK:
            response.response = call(stub, request)
    except apiproxy_errors.ApplicationError as e:
        response.application_error.code = e.application_error
        response.application_error.detail = str(e.error_detail)
    except (apiproxy_errors.CallNotFoundError, AttributeError, KeyError):
        response.rpc_error.code = 1
    except apiproxy_errors.RequestTooLargeError as e:
        response.rpc_error.code = 5
        response.rpc_error.detail = str(e)
    except Exception:               # a bug of the stub is news, not the end
        traceback.print_exc()
        response.rpc_error.code = 3
        response.rpc_error.detail = traceback.format_exc(limit=1)
    return response.SerializeToString()


def call(stub, request):
    types = METHODS[request.service_name, request.method]
    arg, result = types[0](), types[1]()
    arg.MergeFromString(request.request)
    stub.MakeSyncCall(request.service_name, request.method, arg, result,
                      request.request_id)
    return result.SerializePartialToString()


def methods():
    from google.appengine.api import api_base_pb2 as base
    from google.appengine.api import user_service_pb2 as user
    from google.appengine.api.memcache import memcache_service_pb2 as mc
    from google.appengine.datastore import datastore_pb as ds

    table = {}
    for name in ('Get', 'Put', 'Delete', 'AllocateIds'):
        table['datastore_v3', name] = (getattr(ds, f'{name}Request'),
                                       getattr(ds, f'{name}Response'))
    table.update({
        ('datastore_v3', 'RunQuery'): (ds.Query, ds.QueryResult),
        ('datastore_v3', 'Next'): (ds.NextRequest, ds.QueryResult),
        ('datastore_v3', 'BeginTransaction'):
            (ds.BeginTransactionRequest, ds.Transaction),
        ('datastore_v3', 'Commit'): (ds.Transaction, ds.CommitResponse),
        ('datastore_v3', 'Rollback'): (ds.Transaction, base.VoidProto),
    })
    for name in ('Get', 'Set', 'Delete', 'Increment', 'BatchIncrement',
                 'Stats'):
        table['memcache', name] = (getattr(mc, f'Memcache{name}Request'),
                                   getattr(mc, f'Memcache{name}Response'))
    table['memcache', 'FlushAll'] = (mc.MemcacheFlushRequest,
                                     mc.MemcacheFlushResponse)
    for name in ('CreateLoginURL', 'CreateLogoutURL', 'GetOAuthUser'):
        table['user', name] = (getattr(user, f'{name}Request'),
                               getattr(user, f'{name}Response'))
    return table


METHODS = methods()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True      # head and body are two writes

    def do_POST(self):
        out = answer(self.rfile.read(int(self.headers['Content-Length'])))
        self.send_response(200)
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def main():
    args = argparse.ArgumentParser()
    args.add_argument('--project', required=True)
    args.add_argument('--port', type=int, default=0)
    args = args.parse_args()
    bed = testbed.Testbed()
    bed.activate()
    bed.setup_env(app_id=f's~{args.project}', overwrite=True)
    bed.init_datastore_v3_stub(
        use_sqlite=False, auto_id_policy=datastore_stub_util.SCATTERED,
        consistency_policy=datastore_stub_util.
        MasterSlaveConsistencyPolicy(), require_indexes=False)
    bed.init_memcache_stub()
    bed.init_user_stub()
    server = Server(('127.0.0.1', args.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print('export API_HOST=127.0.0.1')
    print(f'export API_PORT={server.server_address[1]}', flush=True)
    server.serve_forever()


if __name__ == '__main__':
    main()
