"""What a Python file hides of its queries: every way out of our sight is a warning, and the files
that users write every day have none."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from dagster_models.project.python.reads import read_python
from project_cases import load, write_project

ORDINARY = Path(__file__).parents[1] / "data" / "python" / "ordinary.txt"
IMPORT = "from dagster_models import warehouse\n"


def ordinary() -> dict[str, str]:
    parts = ORDINARY.read_text().split("\n#### ")[1:]
    return dict(part.split("\n", 1) for part in parts)


def test_the_files_that_users_write_every_day_get_no_warning(tmp_path: Path) -> None:
    files = ordinary()
    steps = [path for path in files if path.startswith(("models/", "scripts/"))]
    assert len(steps) >= 40
    root = write_project(tmp_path, {**files, "dagster_models.yaml": "name: p\n"})
    project = load(root)
    cause = "cannot be determined"
    assert [str(w) for w in project.warnings if cause in w.what or "names are not" in w.what] == []
    assert len(project.steps) == len(steps)


@pytest.mark.parametrize(
    "use",
    [
        "def f(db=warehouse): ...",
        "def f(*, db=warehouse): ...",
        "f = lambda db=warehouse: db.sql('select 1')",
        "get = lambda: warehouse",
        "db = None or warehouse",
        "db = warehouse if x else None",
        "(db := warehouse).sql('select 1')",
        "db, n = warehouse, 1",
        "a = b = warehouse",
        "warehouse2 = warehouse",
        "self.db = warehouse",
        "tables['w'] = warehouse",
        "db: object = warehouse",
        "with warehouse as db: ...",
        "for db in [warehouse]: ...",
        "[db.sql('x') for db in (warehouse,)]",
        "match warehouse:\n    case db: ...",
        "match {'w': warehouse}:\n    case {'w': db}: ...",
        "f(*[warehouse])",
        "f(**{'db': warehouse})",
        "f(*x, warehouse)",
        "Thread(target=f, args=(warehouse,))",
        "functools.partial(f, warehouse)",
        "getattr(warehouse, 'sql')('select 1')",
        "setattr(helper, 'warehouse', warehouse)",
        "def f():\n    return warehouse",
        "def f():\n    yield warehouse",
        "async def f():\n    await warehouse",
        "run = warehouse.sql",
        "warehouse.sql.__call__('select 1')",
        "warehouse.__getattribute__('sql')('select 1')",
        "warehouse.__dict__['sql']('select 1')",
        "warehouse._connection",
        "del warehouse.sql",
        "warehouse('select 1')",
        "print(*warehouse)",
        "x[warehouse] = 1",
        "list(map(lambda w: w.sql('select 1'), [warehouse]))",
        "@warehouse.sql\ndef f(): ...",
        "class A(warehouse.B): ...",
        "raise E(warehouse)",
        "'%s' % warehouse",
        "assert x, warehouse",
        "globals()['warehouse'].sql('select 1')",
        "globals()[name]",
        "f(**globals())",
        "globals().get('warehouse')",
        "eval('warehouse').sql('select 1')",
        "eval(text)",
        "exec(open('other.py').read())",
        "f.__globals__['warehouse']",
        "inspect.currentframe().f_globals",
    ],
)
def test_a_use_that_is_not_understood_is_reported(use: str) -> None:
    assert read_python(IMPORT + "import functools, inspect\n").unseen == ()
    file = read_python(IMPORT + "import functools, inspect\n" + use)
    assert [line >= 3 for line, _, _ in file.unseen] == [True], file.unseen


@pytest.mark.parametrize(
    "source",
    [
        "from dagster_models.warehouse import sql",
        "from dagster_models.warehouse import execute as run",
        "from dagster_models.warehouse import *",
        "import dagster_models.warehouse as wh",
        "from dagster_models import warehouse as wh",
        "import dagster_models as dm\ndb = dm.warehouse",
        "import dagster_models\ndb = dagster_models.warehouse",
        "import dagster_models\nf(dagster_models)",
        "import dagster_models\nx = dagster_models",
        "import dagster_models\ngetattr(dagster_models, name)",
        "import dagster_models\nrun = dagster_models.warehouse.sql",
        "from dagster_models import *\ndb = warehouse",
        "from dagster_models import warehouse\ndef f(warehouse=warehouse): g(warehouse)",
        "from dagster_models.processes.client.warehouse import sql",
        "import dagster_models.processes.client.warehouse",
        "from dagster_models.processes.client import warehouse",
        "from dagster_models import WarehouseResource",
        "import importlib\nimportlib.import_module('dagster_models')",
        "from importlib import import_module as load\nload('dagster_' + 'models.warehouse')",
        "from importlib import import_module\nimport_module(f'loaders.{name}').run()",
        "__import__('dagster_models', fromlist=['warehouse'])",
        "import sys\nsys.path.append('lib')\nfrom no_such_module import load",
        "from sys import path\npath[:0] = ['lib']\nimport no_such_module.load",
        "import runpy\nrunpy.run_path('other.py')",
        "import sys\nsys.modules['dagster_models.warehouse']",
        "import sys\ngetattr(sys.modules['dagster_models'], name)",
        "from sys import modules\nmodules.get('dagster_models.warehouse')",
        "def f():\n    from dagster_models import warehouse\n    return warehouse",
        "def f():\n    global warehouse\n    from dagster_models import warehouse\nx = [warehouse]",
        "try:\n    from dagster_models import warehouse\nexcept E:\n    db = 1\nx = {warehouse}",
        "from helper import *\ndb = warehouse",
        "class A:\n    from dagster_models import warehouse\ndb = A.warehouse",
        "class A:\n    def __init__(self, warehouse): self.warehouse = warehouse\n"
        "def model(warehouse):\n    db = A(warehouse).warehouse",
        "class A:\n    def __init__(self, warehouse): self.warehouse = warehouse\n"
        "def model(warehouse):\n    getattr(A(warehouse), 'warehouse').sql('select 1')",
        "def f(warehouse): db = warehouse\ndef model(warehouse): f(warehouse)",
        "def f(n, warehouse): g(warehouse)\ndef model(warehouse): f(1, warehouse=warehouse)",
        "def f(warehouse, db): ...\ndef model(warehouse): f(1, warehouse)",
        "def f(*warehouse): ...\ndef model(warehouse): f(warehouse)",
        "def f(**warehouse): ...\ndef model(warehouse): f(db=warehouse)",
        "def f(warehouse): ...\nf = g\ndef model(warehouse): f(warehouse)",
        "def model(warehouse):\n    def f(db): ...\n    f(warehouse)",
        "class A:\n    def f(self, warehouse): ...\ndef model(warehouse): f(warehouse)",
        "class A:\n    db: object\ndef model(warehouse): A(warehouse)",
        "def model(warehouse):\n    return h(**locals())",
        "def model(warehouse):\n    return vars()['warehouse']",
        "def model(db): ...",
        "def model(*args): ...",
        "def model(w, /): ...",
        "def deco(f): ...\n@deco\ndef model(warehouse): ...",
        "def deco(f): ...\n@deco\ndef f(warehouse): ...\ndef model(warehouse): f(warehouse)",
        "def model(warehouse): ...\nmodel = wrap(model)",
        "def model(warehouse): ...\nif x:\n    from helper import model",
    ],
)
def test_each_way_to_the_warehouse_is_seen_or_reported(source: str) -> None:
    file = read_python(source)
    assert len(file.unseen) == 1, file.unseen


@pytest.mark.parametrize(
    "source",
    [
        "Q = 'a'\ndef model(warehouse):\n    match x:\n        case {'q': Q}: warehouse.sql(Q)",
        "Q = 'a'\ndef model(warehouse):\n    match x:\n        case [1, *Q]: warehouse.sql(Q)",
        "Q = 'a'\ndef model(warehouse):\n    match x:\n        case {**Q}: warehouse.sql(Q)",
        "Q = 'a'\nmatch x:\n    case str() as Q: pass\ndef model(warehouse): warehouse.sql(Q)",
        "Q = 'a'\nfrom helper import *\ndef model(warehouse): warehouse.sql(Q)",
        "from helper import *\nif x:\n    Q = 'a'\ndef model(warehouse): warehouse.sql(Q)",
        "for x in y:\n    from helper import *\nQ = 'a'\nwarehouse.sql(Q)".replace(
            "x in y", "_ in y"
        ),
        "Q = 'a'\nfrom helper import Q\nwarehouse.sql(Q)",
        "Q = 'a'\nimport Q.other\nwarehouse.sql(Q)",
        "Q = 'a'\nclass A:\n    Q = 'b'\n    rows = warehouse.sql(Q)",
        "Q = 'a'\nclass A:\n    rows = warehouse.sql(Q)\n    Q = 'b'",
        "Q = 'a'\ndel Q\nwarehouse.sql(Q)",
        "Q = 'a'\nglobals()['Q'] = 'b'\nwarehouse.sql(Q)",
        "Q = 'a'\nglobals().update(Q='b')\nwarehouse.sql(Q)",
        "import sys\nQ = 'a'\nsetattr(sys.modules[__name__], 'Q', 'b')\nwarehouse.sql(Q)",
        "Q = 'a'\ntry: x\nexcept E as Q: warehouse.sql(Q)",
        "Q = 'a'\nwith x as (Q, _): warehouse.sql(Q)",
        "Q = 'a'\n[Q := b for b in x]\nwarehouse.sql(Q)",
        "Q = 'a'\nfor (Q, _) in x: warehouse.sql(Q)",
        "Q = 'a'\nQ += 'b'\nwarehouse.sql(Q)",
        "Q = 'a'\ndef Q(): ...\nwarehouse.sql(Q)",
        "def f(Q='a'): warehouse.sql(Q)",
        "def f():\n  q = 'a'\n  def g():\n    nonlocal q\n    q = 1\n  warehouse.sql(q)",
        "Q = Q\nwarehouse.sql(Q)",
        "Q = R\nR = Q\nwarehouse.sql(Q)",
    ],
)
def test_a_name_that_is_bound_again_has_no_text(source: str) -> None:
    file = read_python(source)
    assert not file.queries
    assert [what for _, _, what in file.unseen] == ["warehouse.sql(...)"]


@pytest.mark.parametrize(
    "source",
    [
        "from helper import *\nQ = 'a'\ndef model(warehouse): warehouse.sql(Q)",
        "class A:\n    Q = 'a'\n    rows = warehouse.sql(Q)",
        "Q = 'a'\nclass A:\n    Q = 'b'\n    def f(self): warehouse.sql(Q)",
        "Q = 'a'\nrows = [Q for Q in x]\nwarehouse.sql(Q)",
        "Q = 'a'\nrows = [Q for Q in warehouse.sql(Q)]",
        "Q = 'a'\nLOGS[__name__] = 1\nwarehouse.sql(Q)",
        "Q = 'a'\n@d(warehouse.sql(Q))\ndef f():\n    Q = 'b'",
        "Q = 'a'\ndef f(x=warehouse.sql(Q), Q=1): ...",
        "Q = 'a'\nprint(globals()['x'], 'Q' in globals())\nwarehouse.sql(Q)",
        "def f():\n    global Q\n    Q = 'a'\nwarehouse.sql(Q)",
        "if (q := 'a'): warehouse.sql(q)",
    ],
)
def test_a_name_that_is_bound_once_has_its_text(source: str) -> None:
    assert [query.text for query in read_python(source).queries] == ["a"]


def test_a_warning_names_the_place_and_what_to_do(tmp_path: Path) -> None:
    code = IMPORT + "\n\ndef rows(db=warehouse):\n    return db.table('raw.orders').df()\n"
    project = load(write_project(tmp_path, {"scripts/a.py": code, "models/m.sql": "select 1 as x"}))
    assert [str(warning) for warning in project.warnings] == [
        "scripts/a.py:4:13: warning: the tables that it reads cannot be determined: "
        "warehouse gets another name\n    Name the tables in `upstream:` in the header."
    ]
    named = f'"""\n@model\nupstream: [m]\n"""\n{textwrap.dedent(code)}'
    assert load(write_project(tmp_path, {"scripts/a.py": named})).warnings == ()
