"""Overrides: real keys with wild values, in Hydra's grammar and out of it."""

import functools
from typing import Any

from hypothesis import strategies as st

from simopt import catalogue
from simopt.app.config import compose

NODES = ("measure", "dataset", "optimizer", "decoder", "init")

TARGETS = (
    "os.system",
    "os.getcwd",
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.exit",
    "builtins.print",
    "builtins.dict",
    "builtins.object",
    "pathlib.Path.unlink",
    "pathlib.Path",
    "subprocess.run",
    "subprocess.Popen",
    "shutil.rmtree",
    "importlib.import_module",
    "pickle.loads",
    "sys.exit",
    "math.dist",
    "math.pi",
    "torch.load",
    "torch.optim.SGD",
    "numpy.load",
    "simopt.datasets.file.File",
    "simopt.measures.kernel.KernelSimilarity",
    "simopt.app.cli.app",
    "os",
    "no.such.thing",
    "..",
    ".",
    "a..b",
    "os.",
    ".os",
    "",
    "é.ü",
    "x" * 5000 + ".y",
    "simopt.measures",
)

WILD = (
    "null",
    "NULL",
    "~",
    "true",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "-1",
    "0",
    "1",
    "2",
    "0.5",
    "-0.0",
    "1e308",
    "1e999",
    "1_000",
    "0x10",
    "١",
    "10000000000000000000000",
    "-10000000000000000000000",
    "9" * 5000,
    "9223372036854775807",
    "9223372036854775808",
    "1e-320",
    "[]",
    "{}",
    "[[]]",
    "[[[1]]]",
    "[nan]",
    "[-1]",
    "[0,0]",
    "[1,a,null]",
    "['']",
    "{a:1}",
    "{a:{b:[1,{c:2}]}}",
    "{1:2}",
    "[" * 50 + "]" * 50,
    "${oc.env:HOME}",
    "${oc.env:NO_SUCH_VARIABLE}",
    "${oc.env:NO,${oc.env:HOME}}",
    "${seeds}",
    "${.}",
    "${..}",
    "${no_such}",
    "${no_such:1}",
    "${oc.decode:'[1'}",
    "${oc.create:{a:1}}",
    "${oc.select:measure}",
    "${oc.dict.keys:measure}",
    "${hydra:runtime.cwd}",
    "${now:%Y}",
    "${python_version:}",
    "${",
    "$",
    "${}",
    "${measure}",
    "${dataset.name}",
    "???",
    '"',
    "'",
    "\"'",
    "'a",
    "\\",
    "\\'",
    "a b",
    " ",
    "\t",
    "=",
    "==",
    ",",
    "a,b",
    "[a",
    "a]",
    "{",
    "}",
    "(",
    "choice(1,2)",
    "range(1,4)",
    "range(0,1e9)",
    "interval(0,1)",
    "glob(*)",
    "glob([*,a],exclude=b)",
    "shuffle(1,2)",
    "sort(3,1)",
    "tag(a,1)",
    "int(x)",
    "float(nan)",
    "str(1)",
    "json_str({a:1})",
    "extend_list(1)",
    "bool(maybe)",
    "../x",
    "../../etc/passwd",
    "/etc/passwd",
    "/",
    "//",
    ".",
    "..",
    "/dev/null",
    "/dev/zero",
    "/proc/self/environ",
    "~root",
    "~nobody/x",
    "C:\\x",
    "a/b",
    "a\\b",
    "x" * 300,
    "é",
    "日本",
    "\u202e",
    "\u2028",
    "\x85",
    "\x1b[31m",
    "\x1b]0;x\x07",
    "\x00",
    "\x7f",
    "\n",
    "a\nb",
    "\r",
    "\udc80",
    "\ud800",
    "😀",
    "[red]x[/red]",
    "[/]",
    "%s",
    "{0}",
    "<b>",
    "!!python/object:os.system",
    "&a",
    "*a",
    "- a",
    "a: b",
    "#",
    "|",
    ">",
    "@",
    "`",
    "%",
    "!",
    "no",
    "2020-01-01",
    "1:30",
    "cka",
    "nbs",
    "linreg",
    "[cka,nbs]",
    "all",
    "gaussian",
    "file",
    "majaj",
    "adam",
    "standard",
    "float64",
    "float16",
    "cuda",
    "mps",
    "cpu:9",
    "x" * 1_000_000,
    "'" + "y" * 100_000 + "'",
    "[" + "1," * 20_000 + "1]",
    "average",
    "keep",
    "0:50",
    "::",
    "1:0:0",
)

TEXT = st.text(max_size=40)
VALUES = st.one_of(
    st.sampled_from(WILD),
    st.sampled_from(WILD),
    st.recursive(
        st.one_of(
            st.integers(-(2**70), 2**70).map(str),
            st.floats().map(repr),
            st.sampled_from(("null", "true", "nan", "''", "cka")),
            st.text("abc_${}[]:,.'\"\\ \n\x1bé", max_size=8),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda v: f"[{','.join(v)}]"),
            st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=3).map(
                lambda v: "{" + ",".join(f"{a}:{b}" for a, b in v) + "}"
            ),
        ),
        max_leaves=8,
    ),
    TEXT,
)


@functools.cache
def keys(command: str) -> tuple[str, ...]:
    """The keys of a command, and of the nodes in it."""
    own = compose.keys("run" if command == "sweep" else command)
    deep = [f"log.{name}" for name in ("dir", "every", "score_step", "checkpoint_seconds", "final", "no")]
    for node in NODES:
        for name in catalogue.names(node)[:40:3]:
            deep += [f"{node}.{key}" for key in catalogue.read(node, name) if not key.startswith("_")]
        deep += [f"{node}.no_such", f"{node}.name", f"{node}.aliases", f"{node}._partial_", f"{node}.a.b.c"]
    hydra = ("hydra.run.dir", "hydra.job.name", "hydra.searchpath", "hydra.sweeper.params", "hydra/launcher")
    odd = ("", ".", "..", "a.", ".a", "no_such", "_target_", "measure@x", "measure@_global_", "/measure", "é")
    return (*own, *dict.fromkeys(deep), *hydra, *odd, "experiment", "defaults", "hydra", "hydra.verbose")


def overrides(command: str, *, without: tuple[str, ...] = ()) -> st.SearchStrategy[list[str]]:
    """Lists of overrides of a command, some of them no overrides at all."""
    some = [key for key in keys(command) if not key.startswith(without or ("\0",))]
    one = st.tuples(st.sampled_from(("", "", "", "+", "++", "~")), st.sampled_from(some), VALUES)
    written = one.map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}")
    target = st.tuples(st.sampled_from(NODES), st.sampled_from(TARGETS)).map(
        lambda parts: f"{parts[0]}._target_={parts[1]}"
    )
    removed = st.sampled_from(some).map(lambda key: f"~{key}")
    raw = st.one_of(TEXT, st.sampled_from(WILD))
    everything: Any = st.one_of(written, written, written, target, removed, raw)
    return st.lists(everything, min_size=1, max_size=4)
