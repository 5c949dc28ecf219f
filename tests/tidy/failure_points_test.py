#!/usr/bin/python3
"""Checks that docs/failure-points.md names tests that exist, and that each numbered row of its tables
names a test or says that its feature is not built yet.

    failure_points_test.py SOURCE_FOLDER

A test is written `program: function` with the name that ctest has for the program; a whole program,
a fuzz target or a test that is no cmocka program is its name alone."""

import glob
import os
import re
import sys

PAGE = "docs/failure-points.md"
CODE = re.compile(r"`([a-z0-9_]+)(?:: ([a-z0-9_, ]+))?`")
TEST = re.compile(r"^(fuzz_\w+|\w+_test|sim_powercut_sweep)$")
LATER = "**Later:**"
ROWS = {"The steps of an update": 27, "What has to be handled": 20}


def source(program):
    """The file of a cmocka program: tests/<folder>/<program>.c, or with the folder as its prefix."""
    prefix, _, rest = program.partition("_")
    found = glob.glob(f"tests/*/{program}.c") + glob.glob(f"tests/{prefix}/{rest}.c")
    return found[0] if found else None


def missing(program, functions):
    """What of this reference is not there."""
    if program.startswith("fuzz_"):
        path = f"tests/fuzz/{program[5:]}_fuzz.c"
        return None if os.path.exists(path) else f"there is no {path}"
    if not program.endswith("_test"):
        made = glob.glob("tests/**/CMakeLists.txt", recursive=True)
        named = any(f"NAME {program} " in open(path).read() for path in made)
        return None if named else f"no add_test(NAME {program} ...)"
    path = source(program)
    if path is None:
        return f"no test program {program}"
    text = open(path).read()
    for function in functions:
        if not re.search(rf"^(static void {function}\(|[A-Z_]+\({function},)", text, re.M):
            return f"{path} has no test {function}"
        if len(re.findall(rf"\b{function}\b", text)) < 2:
            return f"{path} does not run {function}"
    return None


def check(lines):
    """The faults of the page, as sentences; how many tests it names."""
    faults, tests, heading, rows = [], 0, "", {name: 0 for name in ROWS}
    for number, line in enumerate(lines, 1):
        if line.startswith("## "):
            heading = line[3:].strip()
        here = 0
        for program, functions in CODE.findall(line):
            if not TEST.match(program):
                continue
            here += 1
            fault = missing(program, [f for f in re.split(r", *", functions) if f])
            if fault:
                faults.append(f"{PAGE}:{number}: {fault}")
        tests += here
        row = re.match(r"\| (\d+) \|", line)
        if row and heading in rows:
            rows[heading] += 1
            if int(row[1]) != rows[heading]:
                faults.append(f"{PAGE}:{number}: row {rows[heading]} is missing")
            if here == 0 and LATER not in line:
                faults.append(f"{PAGE}:{number}: row {row[1]} names no test and does not say {LATER}")
    for name, count in ROWS.items():
        if rows[name] != count:
            faults.append(f"{PAGE}: '{name}' has {rows[name]} rows, not {count}")
    return faults, tests


def main():
    os.chdir(sys.argv[1])
    faults, tests = check(open(PAGE).read().splitlines())
    # a check that cannot fail is none
    for bad in ("| 1 | x | `device_trial_test: no_such_test` |", "| 1 | x | `no_such_test` |",
                "| 1 | x | `fuzz_nothing` |", "| 1 | x | y |", "| 2 | x | `device_trial_test` |"):
        heading = "## The steps of an update"
        if len(check([heading, bad])[0]) != len(check([heading, "| 1 | x | `device_trial_test` |"])[0]) + 1:
            faults.append(f"the check does not notice '{bad}'")
    for fault in faults:
        print(fault)
    print(f"{tests} references, {len(faults)} faults")
    return 1 if faults or tests == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
