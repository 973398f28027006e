#!/usr/bin/env bash
# Static analysis of lib/ and services/ by cppcheck; everything it says is an error. What it is wrong about, or what is so on purpose, stands in
# infra/check/cppcheck.txt, with why. Half a minute on two quiet cores; not part of continuous integration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash infra/scripts/deps.sh lint
cppcheck -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet -D_GNU_SOURCE -D__GNUC__ \
    --suppress=missingIncludeSystem --suppressions-list=infra/check/cppcheck.txt -Iinclude -Ilib lib services
echo "lint: clean"
