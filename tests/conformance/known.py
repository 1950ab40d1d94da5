"""known.toml: the tests that greenserve is known not to pass, each with its reason, and whether that is still true.

Keys are test ids or fnmatch patterns of them. `[all]` holds for every Python, `["3.11"]` and so on for one. A pattern
stands for failing and left-out tests alone: one that passes, or a pattern that meets no test at all, is out of date.
"""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("known.toml")


def load(minor, path=FILE):
    """{pattern: reason} for a Python such as "3.11"."""
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    return sections.get("all", {}) | sections.get(minor, {})


def reason(test, known):
    """Why a test is known not to pass, or an empty string."""
    return known.get(test) or next((why for one, why in known.items() if fnmatchcase(test, one)), "")


def surprises(results, base, known):
    """(outcomes that are short of unpatched and not known, what is known and not so), of the modules that ran."""
    short = list(results.short_of(base))
    unknown = [one for one in short if not reason(one.test, known)]
    below = {one.test for one in short}
    ran = [
        test
        for module in results.modules
        for test in {*base.modules.get(module, {}), *results.modules[module]}
    ]
    outdated = []
    for pattern in known:
        met = [test for test in ran if test == pattern or fnmatchcase(test, pattern)]
        outdated += [f"{test} passes" for test in met if test not in below]
        if not met and any(fnmatchcase(module, pattern.rsplit(".", 2)[0]) for module in results.modules):
            outdated.append(f"{pattern} meets no test")
    return unknown, outdated
