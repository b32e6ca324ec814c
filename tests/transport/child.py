"""What a test's worker runs: a FunctionTable, driven by marshalled questions over two pipes.

python -c COMMAND <questions> <answers>          (descriptor numbers; the first question is sys.path)
"""

import marshal
import os
import sys

COMMAND = (
    "import sys,marshal;questions=open(int(sys.argv[1]),'rb');sys.path[:]=marshal.load(questions);"
    "from tests.transport.child import serve;serve(questions, open(int(sys.argv[2]),'wb'), sys.argv[3])"
)
OK, RAISED = 0, 1


def serve(questions, answers, main):
    from procession.worker.functions import FunctionTable

    table = FunctionTable(main_globals=real_main(main) if main else None)
    while True:
        try:
            verb, *words = marshal.load(questions)
        except EOFError:
            os._exit(0)
        try:
            answer = OK, globals()[verb](table, *words)
        except BaseException as error:
            answer = RAISED, table.encode_error(error)
        marshal.dump(answer, answers)
        answers.flush()


def real_main(path):
    """As multiprocessing's spawn does it: the script is run again, under another name."""
    import multiprocessing.spawn

    multiprocessing.spawn._fixup_main_from_path(path)
    return vars(sys.modules["__main__"])


def define(table, id, payload):
    table.define(id, payload)


def forget(table, id):
    table.forget(id)


def call(table, id, body):
    if id:
        fn = table.get(id)
        args, kwargs = (body, {}) if type(body) is tuple else table.decode(body)
    else:
        fn, args, kwargs = table.decode_call(body)
    return table.encode_result(fn(*args, **kwargs))


def enter(table, body):
    from procession.worker import state

    state.enter_setup(table.decode_call(body)[1][0])


def initialize(table, body):
    _, (initializer, initargs, _), _ = table.decode_call(body)
    table.watch(initializer)
    initializer(*initargs)


def loaded(table, name):
    return name in sys.modules


def renew(table):
    """As a fresh worker would begin, in what the parent has sent."""
    for module in [each for each in sys.modules if each.startswith("tests.transport.samples")]:
        del sys.modules[module]
    table.__init__()
