#!/usr/bin/env bash
# MkDocs 1.6.1: `mkdocs build --strict --quiet` succeeds in spite of warnings.
#
# --strict counts the warnings that are logged, and --quiet has none of them logged. So a build in CI that is quiet passes with dead links.
# greenserve: `make docs` builds without --quiet.
source "$(dirname "$0")/lib.sh"
venv mkdocs==1.6.1

cd "$work"
mkdir docs
printf 'site_name: dead\n' >mkdocs.yml
printf '# Dead\n\n[a link](nowhere.md)\n' >docs/index.md

strict=0
venv/bin/mkdocs build --strict || strict=$?
quiet=0
venv/bin/mkdocs build --strict --quiet || quiet=$?
echo "with a dead link: --strict ends with $strict, --strict --quiet with $quiet"
[[ $strict == 1 && $quiet == 0 ]]
