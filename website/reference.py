"""The directive `public`: a name of ours with its signature and what its docstring says.

    ```{public} procession.Pool
    ```

Laws
1. It is read from the source, by griffe: nothing is imported, and what type checkers see beside (typed.pyi) does not
   hide what a user types. `imap` has its words here, with their defaults; the overloads say the same once more.
2. Nothing private is shown, and neither are words that are there only to be refused. A name without a docstring is a
   warning, and so an error of the build.
3. A docstring is Markdown already, but for its lists of words (`window: items taken in ...`): these become lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import griffe
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from website.repository import ROOT

WORD = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")
HEADING = re.compile(r"^(Args|Attributes):$")
OWN = {"own": ("pickle: bool = False", "thread_name_prefix: str = ''", "address: object = None")}
"""What `**own` of Pool stands for (PoolOwn of typed.pyi)."""
ALIASES = {
    "options.Backend": "options.Backend",
    "Backend": "options.Backend",
    "Overflow": "options.Overflow",
    "OnError": "on_error.OnError",
    "RetryOn": "policies.RetryOn",
    "Backoff": "policies.Backoff",
    "JournalWord": "pool_streams.JournalWord",
    "Outcome": "events.Outcome",
}
"""Names for types, and where each stands: the signature has what it stands for."""
SPELLED = {"Progress": "bool | Callable[..., object]", "os.PathLike": "PathLike"}
REFUSED = "wrong"
"""`**wrong`: has a word that there is not refused with the right one."""
said = logging.getLogger(__name__)


@cache
def package() -> griffe.Module:
    """The whole source."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"], allow_inspection=False)
    loaded = loader.load("procession")
    loader.resolve_aliases(implicit=False, external=False)
    assert isinstance(loaded, griffe.Module)
    return loaded


def found(name: str) -> Any:
    """The object behind a dotted name; KeyError where there is none."""
    inside = name.removeprefix("procession.")
    thing = package()[inside]
    return thing.final_target if thing.is_alias else thing


# ----------------------------------------------------------------------------------------------------------- docstrings


def in_markdown(doc: str, words: Iterable[str]) -> str:
    """A docstring, its lists of `words` as definition lists, and what is drawn in it as it is drawn."""
    known, lines, out = set(words), doc.splitlines(), list[str]()
    at = 0
    while at < len(lines):
        line = lines[at]
        found = WORD.match(line)
        if HEADING.match(line):
            inside = list(block(lines, at + 1))
            at += 1 + len(inside)
            known |= {name for each in inside if (one := WORD.match(each)) for name in one[1].split(", ")}
            out += ["", *in_markdown("\n".join(inside), known).splitlines(), ""]
        elif found and all(name.lstrip("*") in known for name in found[1].split(", ")):
            inside = list(block(lines, at + 1))
            at += 1 + len(inside)
            names = ", ".join(f"`{name}`" for name in found[1].split(", "))
            out += ["", names, f": {found[2]}", *(f"  {each}" for each in inside), ""]
        elif line.startswith("    ") and not (out and out[-1].strip()):
            inside = list(block(lines, at))
            at += len(inside)
            out += ["```text", *inside, "```"]
        else:
            out.append(line)
            at += 1
    return "\n".join(out)


def block(lines: list[str], at: int) -> Iterator[str]:
    """The lines from `at` that are indented, less their indentation."""
    while at < len(lines) and (lines[at].startswith("    ") or (not lines[at] and follows(lines, at))):
        yield lines[at].removeprefix("    ")
        at += 1


def follows(lines: list[str], at: int) -> bool:
    rest = [line for line in lines[at:] if line]
    return bool(rest) and rest[0].startswith("    ")


# ----------------------------------------------------------------------------------------------------------- signatures


def parameters(function: Any, *, bound: bool) -> list[str]:
    """Each parameter, as it is written."""
    shown, star = list[str](), False
    previous = ""
    for each in list(function.parameters)[1 if bound else 0 :]:
        kind = each.kind.value
        if each.name == REFUSED:
            continue
        if previous == "positional-only" != kind:
            shown.append("/")
        if kind == "keyword-only" and not star:
            star = True
            shown.append("*")
        star = star or kind == "variadic positional"
        if each.name in OWN and kind == "variadic keyword":
            shown += OWN[each.name]
        else:
            shown.append(parameter(each, kind))
        previous = kind
    return shown


def spelled(annotation: Any) -> str:
    """A type with what its names stand for."""
    text = str(annotation)
    for name, meant in SPELLED.items():
        text = re.sub(rf"\b{re.escape(name)}\b", meant, text)
    for name, place in ALIASES.items():
        if re.search(rf"(?<![\w.]){re.escape(name)}\b", text):
            text = re.sub(rf"(?<![\w.]){re.escape(name)}\b", str(package()[place].value), text)
    return text


def parameter(each: Any, kind: str) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
    annotation = f": {spelled(each.annotation)}" if each.annotation is not None else ""
    default = f" = {each.default}" if each.default is not None and not stars else ""
    return f"{stars}{each.name}{annotation}{default}"


def signature(function: Any, *, bound: bool) -> str:
    returns = f" -> {function.returns}" if function.returns is not None else ""
    return f"({', '.join(parameters(function, bound=bound))}){returns}"


# -------------------------------------------------------------------------------------------------------------- objects


def public_members(cls: Any) -> Iterator[tuple[str, Any]]:
    """Of a class and of its bases of ours, by where they stand in the source."""
    for name, member in cls.all_members.items():
        if not name.startswith("_") and member.kind.value in ("function", "attribute"):
            yield name, member


def described(name: str) -> str:
    """A class, function or value with all that is public of it, in MyST's Markdown."""
    thing = found(name)
    kind = thing.kind.value
    if kind == "class":
        return class_described(name, thing)
    if kind == "function":
        return entry("function", name, signature(thing, bound=False), thing, words_of(thing))
    return entry("data", name, "", thing, ())


def words_of(function: Any) -> list[str]:
    own = [each.split(":")[0] for words in OWN.values() for each in words]
    return [each.name for each in function.parameters] + own


def class_described(name: str, cls: Any) -> str:
    init = cls.all_members.get("__init__")
    record = init is None or init.kind.value != "function" or "dataclass" in init.labels
    error = any("Exception" in str(base) or "Error" in str(base) for base in (*cls.bases, *cls.mro()))
    shown = "" if record or error else f"({', '.join(parameters(init, bound=True))})"
    fields, inside = list[str](), list[str]()
    for each, member in public_members(cls):
        if member.kind.value == "function":
            coroutine = "async " if "async" in member.labels else ""
            part = entry("method", each, signature(member, bound=True), member, words_of(member), coroutine)
            inside.append(part)
        elif "property" in member.labels:
            inside.append(entry("property", each, "", member, ()))
        elif member.docstring is not None or record:
            fields.append(field(each, member))
    words = [] if record else words_of(init)
    inner = "\n\n".join(["\n".join(fields), *inside])
    return entry("exception" if error else "class", name, shown, cls, words, inner=inner)


def field(name: str, member: Any) -> str:
    doc = " ".join(member.docstring.value.split()) if member.docstring is not None else ""
    kind = f"*{str(member.annotation).replace('*', '')}*" if member.annotation is not None else ""
    return f"\n`{name}` {kind}\n: {doc or ' '}\n"


def entry(
    kind: str, name: str, shown: str, thing: Any, words: Iterable[str], coroutine: str = "", inner: str = ""
) -> str:
    if thing.docstring is None or not thing.docstring.value.strip():
        said.warning("%s has no docstring: say there what it is", name)
    doc = in_markdown(thing.docstring.value, words) if thing.docstring is not None else ""
    fence = "`" * (9 if inner else 7)
    home, _, short = name.rpartition(".")
    start = f"```{{py:currentmodule}} {home}\n```\n\n" if home else ""
    options = [":async:"] if coroutine else []
    if kind == "property" and thing.annotation is not None:
        options.append(f":type: {thing.annotation}")
    return start + "\n".join([f"{fence}{{py:{kind}}} {short}{shown}", *options, "", doc, "", inner, fence])


class Public(SphinxDirective):
    """See above."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            text = described(name)
        except KeyError:
            said.warning("%s is not there", name, location=self.get_location())
            return []
        holder = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), name), 0, holder)
        return holder.children


# --------------------------------------------------------------------------------------------------------------- links


def spoken(objects: Iterable[str]) -> dict[str, str]:
    """How people call a name, `Pool.imap` or `pool.imap` -> the name; those of `procession` itself before others."""
    ways: dict[str, str] = {}
    for name in sorted(objects, key=lambda each: each.count(".") + 9 * each.startswith("procession.adapters")):
        parts = name.split(".")
        short = ".".join(part for part in parts if part[0].isupper()) or parts[-1]
        if parts[-1][0].islower() and short[0].isupper():
            short = f"{short}.{parts[-1]}"
        for way in (name, short, short[0].lower() + short[1:] if "." in short else short):
            ways.setdefault(way, name)
    return ways


def link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """The first `Pool.imap` of a page leads to where that is described."""
    objects = app.env.domains.python_domain.objects
    ways = spoken(objects)
    done = set[str]()
    for literal in list(doctree.findall(nodes.literal)):
        name = ways.get(literal.astext().removesuffix("()"))
        above = literal.parent
        if name is None or name in done or isinstance(above, nodes.reference | nodes.title | nodes.term):
            continue
        there = objects[name]
        if there.docname != docname:
            done.add(name)
            made = make_refnode(app.builder, docname, there.docname, there.node_id, literal.deepcopy(), name)
            above.replace(literal, made)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("public", Public)
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True}
