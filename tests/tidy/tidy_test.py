#!/usr/bin/python3
"""Every rule of script/tidy, and every compiler warning of cmake/surefoot.cmake, has a case here that
makes it fail, and a neighbour that passes: a check that cannot fail is a defect."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUARD = "#ifndef X_H\n#define X_H\n%s\n#endif\n"


class Tidy(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        for name in (".clang-format", ".clang-tidy"):
            shutil.copy(os.path.join(ROOT, name), self.root)

    def tearDown(self):
        shutil.rmtree(self.root)

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def tidy(self, rule):
        env = dict(os.environ, TIDY_ROOT=self.root)
        result = subprocess.run([os.path.join(ROOT, "script/tidy"), rule], env=env,
                                capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    def refuses(self, rule, expected):
        code, out = self.tidy(rule)
        self.assertEqual(code, 1, out)
        self.assertIn(expected, out)

    def accepts(self, rule):
        self.assertEqual(self.tidy(rule), (0, ""))

    def test_unknown_rule_is_a_usage_error(self):
        self.assertEqual(self.tidy("nonsense")[0], 2)

    def test_layers_refuse_an_arrow_upwards(self):
        self.write("formats/a.c", '#include "device/engine.h"\n')
        self.refuses("layers", 'formats/a.c:1: layers: formats must not include "device/engine.h"')

    def test_layers_refuse_http_in_a_protocol_and_sql_in_the_rules(self):
        self.write("server/protocols/a.c", '#include "server/http/http.h"\n')
        self.write("server/fleet/b.c", '#include "server/store/store.h"\n')
        code, out = self.tidy("layers")
        self.assertEqual((code, out.count("must not include")), (1, 2))

    def test_layers_refuse_another_port(self):
        self.write("sim/a.c", '#include "ports/esp-idf/port.h"\n')
        self.refuses("layers", "sim must not include")

    def test_layers_refuse_a_file_in_no_known_folder(self):
        self.write("misc/a.c", "int a;\n")
        self.refuses("layers", "LAYERS in script/tidy does not know")

    def test_layers_accept_the_arrows(self):
        self.write("device/a.c", '#include "formats/err.h"\n#include "surefoot/surefoot.h"\n')
        self.write("tests/device/a_test.c", '#include "server/http/http.h"\n')
        self.accepts("layers")

    def test_sizes_refuse_long_files(self):
        self.write("base/a.c", "int a;\n" * 601)
        self.write("base/a.h", "int a;\n" * 301)
        code, out = self.tidy("sizes")
        self.assertEqual(code, 1)
        self.assertIn("has 601 lines, at most 600", out)
        self.assertIn("has 301 lines, at most 300", out)

    def test_sizes_refuse_a_long_line(self):
        self.write("base/a.c", "/* " + "x" * 98 + " */\n")
        self.refuses("sizes", "characters, at most 100")

    def test_sizes_refuse_a_long_function_unless_excused(self):
        body = "    a++;\n" * 68
        self.write("base/a.c", "void f(int a)\n{\n" + body + "}\n")
        self.refuses("sizes", "function of 71 lines, at most 70")
        self.write("base/a.c", "/* tidy: long, a table in code */\nvoid f(int a)\n{\n" + body + "}\n")
        self.accepts("sizes")

    def test_sizes_refuse_six_parameters_and_count_a_callback_as_one(self):
        self.write("base/a.c", "int f(int a, int b, int c, int d, int (*e)(int, int), int g)\n{\n}\n")
        self.refuses("sizes", "6 parameters, at most 5")
        self.write("base/a.c", "int f(int a, int b, int c, int d, int (*e)(int, int))\n{\n}\n")
        self.accepts("sizes")

    def test_sizes_refuse_deep_nesting(self):
        deep = "".join("    " * i + "if (a) {\n" for i in range(1, 6))
        deep += "".join("    " * i + "}\n" for i in range(5, 0, -1))
        self.write("base/a.c", "int f(int a)\n{\n" + deep + "}\n")
        self.refuses("sizes", "nested 5 deep, at most 4")

    def test_banned_refuses_each_word(self):
        for word in "strcpy strcat sprintf vsprintf gets atoi strtok sscanf localtime rand alloca".split():
            self.write("server/a.c", f"void f(void)\n{{\n    {word}(x);\n}}\n")
            self.refuses("banned", f"server/a.c:3: banned: {word} is not used here")

    def test_banned_refuses_heap_and_clock_in_the_core_only(self):
        for word in ("malloc(1)", "printf(x)", "time(0)", "free(p)"):
            self.write("device/a.c", f"void f(void)\n{{\n    {word};\n}}\n")
            self.refuses("banned", "device/a.c:3: banned")
        self.write("device/a.c", "int f(void)\n{\n    return errno;\n}\n")
        self.refuses("banned", "errno is not used here")
        self.write("device/a.c", "/* malloc(1) */\nconst char *a = \"free(p)\";\n")
        self.write("server/b.c", "void f(void)\n{\n    free(malloc(1));\n}\n")
        self.accepts("banned")

    def test_results_refuse_an_error_that_may_be_ignored(self):
        comment = "/* Returns SF_OK or SF_ERR_IO. */\n"
        self.write("formats/a.h", GUARD % (comment + "int sf_a(int b);"))
        self.refuses("results", "sf_a lacks warn_unused_result")
        self.write("cli/b.h", GUARD % (comment + "int b_open(int c);"))
        self.refuses("results", "b_open lacks warn_unused_result")
        shutil.rmtree(os.path.join(self.root, "cli"))
        self.write("formats/a.h",
                   GUARD % (comment + "int sf_a(int b) __attribute__((warn_unused_result));"))
        self.accepts("results")

    def test_tests_refuse_a_module_without_a_test(self):
        self.write("formats/a.c", "int a;\n")
        self.write("formats/a.h", GUARD % "extern int a;")
        self.refuses("tests", "no test in tests/formats/ includes its header")
        self.write("tests/formats/a_test.c", '#include "formats/a.h"\n')
        self.accepts("tests")

    def test_tests_refuse_a_fuzz_target_without_a_corpus(self):
        self.write("tests/fuzz/a_fuzz.c", "int a;\n")
        self.refuses("tests", "no seed corpus in tests/fuzz/corpus/a")

    def test_format_refuses_another_layout(self):
        self.write("base/a.c", "int  a ;\n")
        self.refuses("format", "base/a.c:1: format")
        self.write("base/a.c", "int a;\n")
        self.accepts("format")

    def test_clang_tidy_refuses_a_bug(self):
        source = "int f(int a);\nint f(int a)\n{\n    int b;\n    if (a > 0) {\n        b = 1;\n    }\n    return b;\n}\n"
        self.write("base/a.c", source)
        path = os.path.join(self.root, "base/a.c")
        self.write("build/dev/compile_commands.json",
                   '[{"directory": "%s", "command": "gcc -c %s", "file": "%s"}]' % (self.root, path, path))
        self.refuses("clang-tidy", "base/a.c:8: clang-tidy: Undefined or garbage value")
        self.write("base/a.c", source.replace("int b;", "int b = 0;"))
        self.accepts("clang-tidy")

    def test_cppcheck_refuses_a_bug(self):
        self.write("base/a.c", "int f(void);\nint f(void)\n{\n    int a[2] = {0};\n    return a[2];\n}\n")
        self.refuses("cppcheck", "out of bounds")

    def test_dialects_refuse_what_gnu99_does_not_know(self):
        self.write("formats/a.c", "int f(void);\nint f(void)\n{\n    int nullptr = 1;\n    return nullptr;\n}\n"
                   "void g();\nvoid g(int a)\n{\n    (void)a;\n}\n#if __STDC_VERSION__ < 201112L\n#error old\n#endif\n")
        self.refuses("dialects", "gcc -std=gnu99: #error old")
        for condition in ("__STDC_VERSION__ > 201710L", "defined(__clang__)"):
            self.write("formats/a.c", f"#if {condition}\n#error new\n#endif\nint f(void);\n")
            self.refuses("dialects", "#error new" if "clang" not in condition else "clang-14 -std=gnu17")
        self.write("formats/a.c", "int f(void);\nint f(void)\n{\n    return 1;\n}\n")
        self.accepts("dialects")

    def test_stack_refuses_a_large_or_unbounded_frame(self):
        source = "void g(char *);\nvoid f(int n);\nvoid f(int n)\n{\n    char a[%s];\n    (void)n;\n    g(a);\n}\n"
        self.write("device/a.c", source % 600)
        self.refuses("stack", "device/a.c:3: stack: -Os: stack usage is")
        self.write("formats/b.c", source % "n")
        self.refuses("stack", "stack usage might be unbounded")
        shutil.rmtree(os.path.join(self.root, "formats"))
        self.write("device/a.c", source % 100)
        self.write("server/c.c", source % 6000)
        self.accepts("stack")

    def test_symbols_refuse_a_call_out_of_the_core(self):
        self.write("device/a.c", "int puts(const char *);\nint f(void);\nint f(void)\n{\n    return puts(\"a\");\n}\n")
        self.refuses("symbols", "calls puts")
        self.write("device/a.c", "#include <string.h>\nint f(const char *a);\nint f(const char *a)\n{\n"
                   "    return (int)strlen(a);\n}\n")
        self.accepts("symbols")


class StateDiagram(unittest.TestCase):
    def test_a_row_that_changed_is_told_until_it_is_drawn_again(self):
        with tempfile.TemporaryDirectory() as root:
            for name in ("script/state-diagram", "device/engine.c", "device/engine_private.h",
                         "docs/engine-states.md"):
                os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
                shutil.copy(os.path.join(ROOT, name), os.path.join(root, name))

            def draw(*options):
                return subprocess.run([os.path.join(root, "script/state-diagram"), *options],
                                      capture_output=True, text=True, check=False)

            self.assertEqual(draw("--check").returncode, 0)
            engine = os.path.join(root, "device/engine.c")
            with open(engine, encoding="utf-8") as f:
                rows = f.read()
            with open(engine, "w", encoding="utf-8") as f:
                f.write(re.sub(r"^ *ROW\(.*\),\n", "", rows, count=1, flags=re.M))
            changed = draw("--check")
            self.assertEqual(changed.returncode, 1)
            self.assertIn("out of date", changed.stderr)
            self.assertEqual(draw().returncode, 0)
            self.assertEqual(draw("--check").returncode, 0)


BAD = {  # warning -> code that must not compile with it
    "-Wall": "int f(void) { int a; return 0; }",
    "-Wextra": "int f(unsigned a) { return a < 0; }",
    "-Wshadow": "int f(int a) { { int a = 1; (void)a; } return a; }",
    "-Wconversion": "char f(int a) { return a; }",
    "-Wstrict-prototypes": "void f();",
    "-Wmissing-prototypes": "int f(void) { return 0; }",
    "-Wcast-qual": "char *f(const char *a) { return (char *)a; }",
    "-Wwrite-strings": "char *f(void) { return \"a\"; }",
    "-Wformat=2": "#include <stdio.h>\nvoid f(const char *a) { printf(a); }",
    "-Wvla": "int f(int n) { int a[n]; a[0] = 1; return a[0]; }",
    "-Wswitch-enum": "enum e { A, B }; int f(enum e x) { switch (x) { case A: return 1; default: return 0; } }",
    "-Wimplicit-fallthrough": "int f(int a) { switch (a) { case 1: a++; case 2: a++; } return a; }",
    "-Wundef": "#if NOT_DEFINED\n#endif\nint a;",
    "-Wnull-dereference": "int f(int *a) { if (a == 0) { return *a; } return 0; }",
    "-Wstack-usage=512": "void g(char *); void f(void) { char a[600]; g(a); }",
}


class Warnings(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(ROOT, "cmake/surefoot.cmake"), encoding="utf-8") as f:
            self.cmake = f.read()

    def compiles(self, flags, code):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "a.c")
            with open(source, "w", encoding="utf-8") as f:
                f.write(code + "\n")
            return subprocess.run(["gcc", "-std=c17", "-O2", "-Werror", *flags, "-c", source, "-o",
                                   os.path.join(folder, "a.o")], capture_output=True, check=False).returncode == 0

    def test_each_warning_of_the_build_stops_its_bad_code(self):
        flags = re.findall(r"^\s+((?:-W\S+\s*)+)", self.cmake, re.M)
        used = set(" ".join(flags).replace(")", "").split()) | {"-Wstack-usage=512"}
        self.assertIn("-Wstack-usage=512", self.cmake)
        self.assertEqual(used, set(BAD), "cmake/surefoot.cmake and this table differ")
        for flag, code in BAD.items():
            with self.subTest(flag):
                self.assertTrue(self.compiles(["-Wno-all"], code), "does not compile at all")
                self.assertFalse(self.compiles([flag], code))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[1:])
