"""Read the documentation out of the standard library that runs this file.

:mod:`opensearch_funnel.demo.corpus` starts this file as a script in a process of its own, so it
uses nothing but the standard library. Modules are imported, not parsed: many names that people
look for (``str.split``, ``itertools.groupby``, ``math.isclose``) live in C and have no source, and
only the imported objects say that ``json.JSONDecoder`` and ``json.decoder.JSONDecoder`` are one
thing. What an import may do on the side (print, set up readline, warn) stays in that process.

Out of scope on purpose: what opens a window or a browser, tests, codec tables, and modules that
Python 3.12 or 3.13 removed, which nobody should be sent to.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

_SIDE_EFFECTS = frozenset(["antigravity", "idlelib", "this", "tkinter", "turtle", "turtledemo"])
_NOT_DOCUMENTATION = frozenset(
    ["ensurepip", "lib2to3", "pydoc_data", "test", "xxlimited", "xxlimited_35", "xxsubtype"]
)
_OTHER_NAMES = frozenset(  # documented under the public name: os, os.path, re
    [
        "genericpath",
        "nt",
        "ntpath",
        "posix",
        "posixpath",
        "sre_compile",
        "sre_constants",
        "sre_parse",
    ]
)
_REMOVED = frozenset(
    [
        "aifc",
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "telnetlib",
        "uu",
        "xdrlib",
    ]
)
_SKIPPED_ROOTS = _SIDE_EFFECTS | _NOT_DOCUMENTATION | _OTHER_NAMES | _REMOVED
_CLOSED_PACKAGES = frozenset({"ctypes", "encodings"})  # wintypes and 120 codec tables say nothing

_HEAD_CHARACTERS = 240
_GENERATED = "Alias for field number"
_CALL = re.compile(r"\w[\w.]*\(.*\)\s*-+>", re.DOTALL)
_UNDERLINE = re.compile(r"\s*[=~-]{3,}\s*")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class _Named:
    """An object under the name that a programmer would import it by."""

    module: str
    name: str
    value: object
    aliases: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        return self.name if self.module == "builtins" else f"{self.module}.{self.name}"


def public_modules() -> dict[str, ModuleType]:
    """Import every public module of the standard library that this machine has.

    Returns:
        Modules by dotted name, in alphabetical order; ``os.path`` stands for the platform's own.
    """
    roots = sorted(sys.stdlib_module_names - _SKIPPED_ROOTS)
    modules: dict[str, ModuleType] = {"os.path": os.path}
    for root in roots:
        if not root.startswith("_"):
            modules.update(_with_submodules(root))
    return dict(sorted(modules.items()))


def _with_submodules(name: str) -> Iterator[tuple[str, ModuleType]]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit):  # noqa: BLE001 - another platform's, or built without it
        return
    yield name, module
    if name in _CLOSED_PACKAGES:
        return
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_") and found.name not in ("test", "tests"):
            yield from _with_submodules(f"{name}.{found.name}")


def documents_of(modules: dict[str, ModuleType]) -> list[dict[str, str]]:
    """Describe what the modules offer: themselves, their classes, functions and members.

    Args:
        modules: by the name that their objects shall have.

    Returns:
        One record for each object that has a docstring, ordered by ``_id``. ``text`` is the
        docstring and then, after a blank line, the head of what contains the object. An object
        that can be reached by several names has the one that is public and shortest.

    Example:
        >>> import bisect
        >>> [found["_id"] for found in documents_of({"bisect": bisect})][:2]
        ['bisect', 'bisect.bisect_left']
    """
    named = _public_objects(modules)
    taken = {_identity(one.value) for one in named}
    documented_classes = {id(one.value) for one in named if inspect.isclass(one.value)}
    records: dict[str, dict[str, str]] = {}
    for name, module in modules.items():
        docstring = _docstring(module)
        package = modules.get(name.rpartition(".")[0])
        if docstring:
            records[name] = _record(name, name, "module", docstring, _head(package), module=name)
    for one in named:
        described = _describe(one, modules[one.module])
        if described:
            records.setdefault(one.identifier, described)
        if inspect.isclass(one.value):
            for record in _members(one, one.value, modules[one.module], taken, documented_classes):
                records.setdefault(record["_id"], record)
    return [records[key] for key in sorted(records)]


def _public_objects(modules: dict[str, ModuleType]) -> list[_Named]:
    names: dict[int, list[tuple[tuple[object, ...], _Named]]] = {}
    for module_name, module in modules.items():
        exported = _exported(module)
        for name in sorted(exported | set(vars(module))):
            value = getattr(module, name, None)
            if name.startswith("_") or not _is_documentable(value):
                continue
            if name in exported or _belongs(value, module_name):
                one = _Named(module_name, name, value)
                order = (
                    module_name != "builtins",
                    name not in exported and getattr(value, "__module__", "") != module_name,
                    module_name.count("."),
                    name != getattr(value, "__name__", name),
                    len(one.identifier),
                    one.identifier,
                )
                names.setdefault(_identity(value), []).append((order, one))
    chosen = []
    for candidates in names.values():
        best, *others = [one for _, one in sorted(candidates, key=lambda pair: pair[0])]
        # `json.decoder.JSONDecoder` says nothing new, `bisect.insort` and `IOError` do.
        aliases = sorted({one.identifier for one in others if one.name != best.name})
        chosen.append(_Named(best.module, best.name, best.value, tuple(aliases)))
    return sorted(chosen, key=lambda one: one.identifier)


def _exported(module: ModuleType) -> set[str]:
    if module.__name__ == "builtins":
        return set(vars(module))
    return {str(name) for name in getattr(module, "__all__", ())}


def _belongs(value: object, module_name: str) -> bool:
    home = str(getattr(value, "__module__", None) or "")
    # C accelerators give their own name: hashlib.scrypt says that it is from _hashlib.
    return home == module_name or home == f"_{module_name.partition('.')[0]}"


def _is_documentable(value: object) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value) or _is_special_form(value)


def _is_special_form(value: object) -> bool:
    # typing.Optional and its like are instances that carry a docstring of their own.
    kind = type(value)
    return kind.__module__ == "typing" and getattr(value, "__doc__", None) != kind.__doc__


def _identity(value: object) -> int:
    # random.choice is a method bound to a hidden Random: the function behind it is the same.
    return id(getattr(value, "__func__", value))


def _describe(one: _Named, module: ModuleType) -> dict[str, str] | None:
    docstring = _docstring(one.value)
    if inspect.isclass(one.value):
        kind = "exception" if issubclass(one.value, BaseException) else "class"
        docstring = _with_constructor(one.value, docstring)
    elif inspect.isroutine(one.value):
        kind = "function"
    else:
        kind = "form"
    if not docstring:
        return None
    if one.aliases:
        docstring = f"{docstring}\n\nAlso: {', '.join(one.aliases)}"
    title = one.identifier + _signature(one.value)
    return _record(one.identifier, title, kind, docstring, _head(module), module=one.module)


def _with_constructor(value: type, docstring: str) -> str:
    parts = [docstring] if docstring else []
    generic = {object.__new__.__doc__, object.__init__.__doc__}
    for name in ("__new__", "__init__"):
        constructor = vars(value).get(name)
        added = _docstring(getattr(constructor, "__func__", constructor))
        if added and added not in generic and added not in docstring:
            parts.append(added)
    return "\n\n".join(parts)


def _members(
    one: _Named, owner: type, module: ModuleType, taken: set[int], documented_classes: set[int]
) -> Iterator[dict[str, str]]:
    head = _head(owner) or _head(module)
    seen: set[str] = set()
    for base in owner.__mro__:
        # Members of a private base (ipaddress._BaseNetwork) can only be described on its heirs.
        if base is not owner and id(base) in documented_classes:
            seen.update(dir(base))  # what it inherits from a private base is described there, too
            continue
        for name, attribute in sorted(vars(base).items()):
            value = getattr(attribute, "__func__", attribute)
            if name.startswith("_") or name in seen or not _is_member(value):
                continue
            seen.add(name)
            docstring = _docstring(value)
            if not docstring or id(value) in taken:
                continue
            taken.add(id(value))
            identifier = f"{one.identifier}.{name}"
            is_method = inspect.isroutine(value)
            bound = is_method and not isinstance(attribute, staticmethod)
            title = identifier + (_signature(value, bound=bound) if is_method else "")
            kind = "method" if is_method else "property"
            yield _record(identifier, title, kind, docstring, head, module=one.module)


def _is_member(value: object) -> bool:
    if inspect.isdatadescriptor(value) or inspect.ismethoddescriptor(value):
        return not inspect.isclass(value)
    return inspect.isroutine(value)


def _docstring(value: object) -> str:
    docstring = getattr(value, "__doc__", None)
    # None has a docstring itself since Python 3.13; namedtuple writes one for each field.
    if value is None or not isinstance(docstring, str) or docstring.startswith(_GENERATED):
        return ""
    return _ADDRESS.sub("", inspect.cleandoc(docstring)).strip()


def _head(container: object) -> str:
    paragraphs = _docstring(container).split("\n\n")
    # Classes written in C begin with "deque([iterable[, maxlen]]) --> deque object".
    told = next((one for one in paragraphs if not _CALL.match(one)), paragraphs[0])
    paragraph = " ".join(_UNDERLINE.sub(" ", told).split())
    if len(paragraph) <= _HEAD_CHARACTERS:
        return paragraph
    return paragraph[:_HEAD_CHARACTERS].rpartition(" ")[0] + " …"


class _Shown:
    """A default value that is shown by a name and not by its representation."""

    def __repr__(self) -> str:
        return "..."


def _signature(value: object, *, bound: bool = False) -> str:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - C code has none, or one that cannot be evaluated (curses)
        return ""
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    shown = []
    for parameter in parameters:
        default = parameter.default
        # "<object object at 0x7f…>" would change from run to run.
        if default is not parameter.empty and repr(default).startswith("<"):
            default = _Shown()
        shown.append(parameter.replace(annotation=parameter.empty, default=default))
    plain = signature.replace(parameters=shown, return_annotation=signature.empty)
    return _ADDRESS.sub("", str(plain))


def _record(  # noqa: PLR0913 - the six fields of a record
    identifier: str, title: str, kind: str, docstring: str, head: str, *, module: str
) -> dict[str, str]:
    text = f"{docstring}\n\n{head}" if head and head not in docstring else docstring
    return {"_id": identifier, "title": title, "text": text, "kind": kind, "module": module}


def main() -> None:
    """Write one JSON object a line to the standard output that this process was started with."""
    warnings.simplefilter("ignore")
    with os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n") as results:
        # Whatever a module prints while it is imported must not end up among the results.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = io.StringIO()
        for record in documents_of(public_modules()):
            results.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
