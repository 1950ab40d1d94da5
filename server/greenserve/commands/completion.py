"""`greenserve completion bash|zsh|fish`: prints the script by which the shell completes flags and their values.

All of it comes from the registry: flags, choices, and which values are files or folders. No shell runs Python when it
completes.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from greenserve.commands import COMMANDS
from greenserve.config import SETTINGS
from greenserve.errors import ConfigError

__all__ = ["SHELLS", "main", "script"]

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = {"FOLDER"}
_FILES = {"FILE"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag for a shell: its spellings, its help, and what may follow it."""

    names: tuple[str, ...]
    help: str
    value: str = ""  # "": none; "file", "folder", "any", or words with spaces between


_OWN = (
    Flag(("-h", "--help"), "print the help"),
    Flag(("--version",), "print the version"),
    Flag(("-c", "--config"), "configuration file", "file"),
    Flag(("--print-config",), "print every setting and the source of its value, as TOML"),
    Flag(("--check-config",), "check the settings, import the app, bind nothing"),
)


def main(argv: Sequence[str]) -> int:
    """Print the script for the shell that `argv` names."""
    if len(argv) != 1 or argv[0] not in SHELLS:
        given = " ".join(argv) or "nothing"
        raise ConfigError(f"completion: name the shell, bash, zsh or fish, not {given}")
    sys.stdout.write(script(argv[0]))
    return 0


def script(shell: str) -> str:
    """Return the script for one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_flags())


def _flags() -> list[Flag]:
    flags = list(_OWN)
    for entry in SETTINGS.values():
        if not entry.kind.metavar:
            flags += [
                Flag((entry.flag,), entry.help),
                Flag(("--no-" + entry.flag[2:],), f"don't {entry.help}"),
            ]
            continue
        short = tuple(alias for alias in entry.aliases if not alias.startswith("--"))
        flags.append(Flag((*short, entry.flag), entry.help, _value(entry.kind.metavar, entry.kind.words)))
    return flags


def _value(metavar: str, words: tuple[str, ...]) -> str:
    if words:
        return " ".join(words)
    return "folder" if metavar in _FOLDERS else "file" if metavar in _FILES else "any"


def _bash(flags: Sequence[Flag]) -> str:
    cases = []
    for flag in flags:
        if flag.value:
            reply = {
                "any": "COMPREPLY=()",
                "file": '_greenserve_paths -f "$current"',
                "folder": '_greenserve_paths -d "$current"',
            }.get(flag.value, f'_greenserve_words {shlex.quote(flag.value)} "$current"')
            cases.append(f"        {'|'.join(flag.names)}) {reply}; return ;;")
    names = " ".join(name for flag in flags for name in flag.names)
    return f"""\
# bash completion of greenserve. For this shell: eval "$(greenserve completion bash)"
# For every shell: greenserve completion bash > ~/.local/share/bash-completion/completions/greenserve
_greenserve_words() {{
    local IFS=$' \\t\\n'
    COMPREPLY=($(compgen -W "$1" -- "$2"))
}}
_greenserve_paths() {{
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$2"))
}}
_greenserve() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # "=" is a word of its own in bash: --hub=epoll is three.
    if [[ $current == = ]]; then current=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if [[ ${{COMP_WORDS[1]}} == completion && COMP_CWORD -eq 2 ]]; then
        _greenserve_words '{" ".join(SHELLS)}' "$current"; return
    fi
    case $before in
{chr(10).join(cases)}
    esac
    if [[ $current == -* ]]; then _greenserve_words '{names}' "$current"; return; fi
    _greenserve_paths -f "$current"
    if [[ $COMP_CWORD -eq 1 ]]; then COMPREPLY+=($(compgen -W '{" ".join(COMMANDS)}' -- "$current")); fi
}}
complete -F _greenserve greenserve
"""


def _zsh(flags: Sequence[Flag]) -> str:
    specs = []
    for flag in flags:
        about = flag.help.replace("[", "(").replace("]", ")").replace(":", ";")
        action = {"any": ": ", "file": ":file:_files", "folder": ":folder:_path_files -/", "": ""}.get(
            flag.value, f":value:({flag.value})"
        )
        for name in flag.names:
            equals = "=" if flag.value and name.startswith("--") else ""
            specs.append(f"        {shlex.quote(f'*{name}{equals}[{about}]{action}')}")
    commands = " ".join(shlex.quote(f"{name}:{about}") for name, about in COMMANDS.items())
    lines = " \\\n".join(specs)
    return f"""\
#compdef greenserve
# zsh completion of greenserve. For this shell, after compinit: eval "$(greenserve completion zsh)"
# For every shell: greenserve completion zsh > a folder of $fpath, as the file _greenserve
_greenserve_first() {{
    local -a commands=({commands})
    _describe command commands
    _files
}}
_greenserve() {{
    if (( CURRENT == 3 )) && [[ $words[2] == completion ]]; then compadd {" ".join(SHELLS)}; return; fi
    _arguments -s -S \\
{lines} \\
        '1:app:_greenserve_first' '*:file:_files'
}}
if [[ $funcstack[1] == _greenserve ]]; then _greenserve "$@"; else compdef _greenserve greenserve; fi
"""


def _fish(flags: Sequence[Flag]) -> str:
    lines = [
        "# fish completion of greenserve. For every shell:",
        "# greenserve completion fish > ~/.config/fish/completions/greenserve.fish",
        "complete -c greenserve -n __fish_use_subcommand -a "
        + shlex.quote(" ".join(COMMANDS))
        + " -d subcommand",
        f"complete -c greenserve -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'",
    ]
    for flag in flags:
        spelled = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names
        )
        value = {
            "": "",
            "any": " -x",
            "file": " -rF",
            "folder": " -x -a '(__fish_complete_directories)'",
        }.get(flag.value, f" -x -a {_fish_quoted(flag.value)}")
        lines.append(f"complete -c greenserve {spelled}{value} -d {_fish_quoted(flag.help)}")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
