"""Our .proto files against those of the installed SDKs, field by field.

The SDKs are the contract; proto/ is our own statement of it.  Every message
that we and an SDK share must agree in its fields' numbers, wire types, labels
and defaults, and its enums in their values, except where a table below says
otherwise and why.  A field of an SDK's that we lack is an error too: unknown
fields survive in stored entities, but a request's would be ignored unseen.
"""
import functools
import importlib
import json
import os
import subprocess
import tempfile

import pytest
from google.protobuf import descriptor_pb2 as d

from lib import paths

F = d.FieldDescriptorProto

# Our file: the modules of the Python SDK that say the same.
PYTHON = {
    'action': 'datastore.action_pb2',
    'api_base': 'api.api_base_pb2',
    'app_identity': 'api.app_identity.app_identity_service_pb2',
    'capability': 'api.capabilities.capability_service_pb2',
    'capability_base': 'base.capabilities_pb2',
    'datastore_v3': 'datastore.datastore_v3_bytes_pb2',
    'entity': 'datastore.entity_bytes_pb2',
    'memcache': 'api.memcache.memcache_service_pb2',
    'modules': 'api.modules.modules_service_pb2',
    'remote_api': 'ext.remote_api.remote_api_bytes_pb2',
    'snapshot': 'datastore.snapshot_pb2',
    'taskqueue': 'api.taskqueue.taskqueue_service_bytes_pb2',
    'user': 'api.user_service_pb2',
}
# A file of the Go SDK: ours that hold its messages.
GO = {
    'app_identity/app_identity_service': ['app_identity'],
    'base/api_base': ['api_base'],
    'capability/capability_service': ['capability'],
    'datastore/datastore_v3': ['datastore_v3', 'entity', 'action', 'snapshot'],
    'memcache/memcache_service': ['memcache'],
    'modules/modules_service': ['modules'],
    'remote_api/remote_api': ['remote_api'],
    'taskqueue/taskqueue_service': ['taskqueue'],
    'user/user_service': ['user'],
}

# Messages of an SDK that we do not have.
OMITTED = {
    'TransactionRequest': 'of the remote_api service, which no SDK calls',
    'TransactionQueryResult': 'as TransactionRequest',
    'MemcacheGrabTailRequest': 'gone from the newer SDKs, called by none',
    'MemcacheGrabTailResponse': 'as MemcacheGrabTailRequest',
}

# Fields whose number means something else in one SDK: (message, number, sdk).
OTHER_MEANING = {
    ('GetRequest', 6, 'go'): "Go's header, a message: decodes as unknown",
    ('Property', 6, 'go'): "Go's `searchable`: a bool, same wire type",
}

# Fields whose default differs: (message, number, sdk).
OTHER_DEFAULT = {
    ('Query', 37, 'go'): 'persist_offset: only whoever sends it cares',
    ('Index.Property', 4, 'go'): 'direction: both send it always',
    ('MemcacheGetRequest', 6, 'go'): 'for_peek: false is none, too',
    ('GetOAuthUserResponse', 5, 'go'): 'is_admin: false is none, too',
    ('TaskQueueAddRequest', 18, 'go'): 'mode: PUSH is none, too',
    ('TaskQueueUpdateQueueRequest', 8, 'go'): 'mode: PUSH is none, too',
    ('TaskQueueFetchQueuesResponse.Queue', 6, 'go'): 'paused: required',
    ('TaskQueueFetchQueuesResponse.Queue', 9, 'go'): 'mode: PUSH is none, too',
    ('TaskQueueFetchQueueStatsRequest', 3, 'go'): '0 is none, too',
    ('TaskQueueQueryTasksResponse.Task', 6, 'go'): '0 is none, too',
    ('TaskQueueQueryTasksResponse.Task', 26, 'go'): '0 is none, too',
    ('TaskQueueQueryAndOwnTasksRequest', 4, 'go'): 'false is none, too',
    ('TaskQueueQueryAndOwnTasksResponse.Task', 4, 'go'): '0 is none, too',
}

# Answers of ours that do not say so in their names.
RESPONSES = {'QueryResult', 'CompositeIndices', 'MergedNamespaceStats',
             'MemcacheHotKey', 'PublicCertificate'}

def protoc(root, files):
    """Compile .proto files; {stem: FileDescriptorProto}."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ['protoc', f'--proto_path={root}', '--include_imports',
             f'--descriptor_set_out={out.name}', *files], check=True)
        files = d.FileDescriptorSet.FromString(out.read()).file
    return {f.name[:-len('.proto')]: f for f in files}


@functools.cache
def ours():
    folder = os.path.join(paths.ROOT, 'proto')
    return protoc(folder, sorted(f for f in os.listdir(folder)
                                 if f.endswith('.proto')))


@functools.cache
def python_files():
    files = {}
    for name, module in PYTHON.items():
        module = importlib.import_module(f'google.appengine.{module}')
        files[name] = d.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(files[name])
    return files


@functools.cache
def go_files():
    download = subprocess.run(
        ['go', 'mod', 'download', '-json', 'google.golang.org/appengine/v2'],
        cwd=os.path.join(paths.ROOT, 'tests', 'sdk', 'go'), check=True,
        stdout=subprocess.PIPE)
    root = json.loads(download.stdout)['Dir']
    files = protoc(root, [f'internal/{name}.proto' for name in GO])
    return {name: files[f'internal/{name}'] for name in GO}


def messages(files):
    """{'Query.Filter': DescriptorProto} of all files, nested ones too."""
    found = {}

    def walk(message, name):
        found[name] = message
        for nested in message.nested_type:
            walk(nested, f'{name}.{nested.name}')

    for file in files:
        for message in file.message_type:
            walk(message, message.name)
    return found


def enums(files):
    found = {f'{name}.{e.name}': e for name, m in messages(files).items()
             for e in m.enum_type}
    found.update({e.name: e for f in files for e in f.enum_type})
    return found


def pairs():
    """(sdk, label, our files, the SDK's file), for parametrize."""
    for name in PYTHON:
        yield 'python', name, [name]
    for name, stems in GO.items():
        yield 'go', name, stems


def theirs(sdk, name):
    return (python_files if sdk == 'python' else go_files)()[name]


def is_response(message):
    top = message.split('.')[0]
    return top.endswith('Response') or top in RESPONSES


def wire_type(field):
    """The type as far as the other side can see it, and the name within."""
    same = {F.TYPE_STRING: F.TYPE_BYTES, F.TYPE_ENUM: F.TYPE_INT32}
    within = ''
    if field.type in (F.TYPE_MESSAGE, F.TYPE_GROUP):
        within = field.type_name.rsplit('.', 1)[-1]
    return same.get(field.type, field.type), within


def default(field):
    """A field's default; of a number its value, however it was written."""
    number = field.type == F.TYPE_DOUBLE and field.default_value
    return float(field.default_value) if number else field.default_value


def compare_field(sdk, message, mine, other):
    """What is wrong with our field, as sentences."""
    here = f'{message}.{other.name} = {other.number}'
    at = (message, other.number, sdk)
    if mine is None:
        return [f'{here}: we lack it']
    if at in OTHER_MEANING:
        return []
    wrong = []
    if mine.name != other.name:
        wrong.append(f'{here}: ours is called {mine.name}')
    if wire_type(mine) != wire_type(other):
        wrong.append(f'{here}: type {F.Type.Name(other.type)}, '
                     f'ours {F.Type.Name(mine.type)}')
    if default(mine) != default(other) and at not in OTHER_DEFAULT:
        wrong.append(f'{here}: default {other.default_value!r}, '
                     f'ours {mine.default_value!r}')
    if (mine.label == F.LABEL_REPEATED) != (other.label == F.LABEL_REPEATED):
        wrong.append(f'{here}: only one of us repeats it')
    # What arrives is as loose as the looser SDK, what leaves as strict as the
    # stricter.
    required = other.label == F.LABEL_REQUIRED
    if is_response(message):
        if required and mine.label != F.LABEL_REQUIRED:
            wrong.append(f'{here}: required, ours is not')
    elif mine.label == F.LABEL_REQUIRED and not required:
        wrong.append(f'{here}: optional, ours is required')
    return wrong


@pytest.mark.parametrize('sdk, name, stems', pairs())
def test_messages_agree_with_the_sdk(sdk, name, stems):
    mine = messages(ours()[stem] for stem in stems)
    wrong = []
    for message, other in messages([theirs(sdk, name)]).items():
        if message.split('.')[0] in OMITTED:
            continue
        if message not in mine:
            wrong.append(f'{message}: we lack it')
            continue
        fields = {f.number: f for f in mine[message].field}
        for field in other.field:
            wrong += compare_field(sdk, message, fields.get(field.number),
                                   field)
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('sdk, name, stems', pairs())
def test_enums_agree_with_the_sdk(sdk, name, stems):
    mine = enums(ours()[stem] for stem in stems)
    wrong = []
    for enum, other in enums([theirs(sdk, name)]).items():
        if enum not in mine:
            wrong.append(f'{enum}: we lack it')
            continue
        numbers = {v.name: v.number for v in mine[enum].value}
        wrong += [f'{enum}.{v.name} = {v.number}, ours {numbers.get(v.name)}'
                  for v in other.value if numbers.get(v.name) != v.number]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('stem', PYTHON)
def test_no_field_is_our_own_invention(stem):
    """Every message and field of ours stands in one SDK or the other."""
    known = {}
    for files in (python_files().values(), go_files().values()):
        for message, m in messages(files).items():
            known.setdefault(message, set()).update(f.number for f in m.field)
    extra = [f'{message}.{f.name}'
             for message, m in messages([ours()[stem]]).items()
             for f in m.field if f.number not in known.get(message, ())]
    assert not extra


def test_tables_of_differences_hold_nothing_stale():
    """A difference that an SDK gave up must leave the tables."""
    found = {'python': {}, 'go': {}}
    for sdk, files in (('python', python_files()), ('go', go_files())):
        found[sdk] = messages(files.values())
    mine = messages(ours()[stem] for stem in PYTHON)
    for message, number, sdk in [*OTHER_MEANING, *OTHER_DEFAULT]:
        other = {f.number: f for f in found[sdk][message].field}[number]
        field = {f.number: f for f in mine[message].field}[number]
        assert (field.name, field.default_value) != (
            other.name, other.default_value), (message, number, sdk)
    for message in OMITTED:
        assert message in found['python'] or message in found['go']
        assert message not in mine
