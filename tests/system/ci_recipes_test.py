#!/usr/bin/python3
"""The recipes of examples/ci: they are sound YAML, keep secrets out of scripts and arguments, and their
shell steps do what docs/ci.md promises, run as the CI would run them against a real surefootd with the
demo firmware. What downloads or needs ESP-IDF is only checked for syntax.

    ci_recipes_test.py BIN_FOLDER SOURCE_FOLDER"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

BIN, ROOT = (os.path.abspath(path) for path in sys.argv[1:3])
GITHUB = os.path.join(ROOT, "examples", "ci", "github-actions.yml")
GITLAB = os.path.join(ROOT, "examples", "ci", "gitlab-ci.yml")
EXPRESSION = re.compile(r"\$\{\{\s*([\w.]+)\s*\}\}")


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def github_steps(job):
    return {step["name"]: step for step in load(GITHUB)["jobs"][job]["steps"] if "run" in step}


class House:
    """A surefootd, a product 'lamp' with its release key, tokens, and two firmwares."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="surefoot-ci-")
        self.env = {"PATH": BIN + ":" + os.environ["PATH"], "HOME": self.dir, "LC_ALL": "C.UTF-8",
                    "SUREFOOT": os.path.join(BIN, "surefoot")}
        self.log = open(self.path("server.log"), "wb")
        self.server = subprocess.Popen(
            [os.path.join(BIN, "surefootd"), "--data", self.path("data"), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self.log)
        try:
            self.furnish()
        except BaseException:
            self.close()
            raise

    def furnish(self):
        self.url = self.wait_for_url()
        self.surefoot("login", self.url, "--ca", self.path("data/ca.pem"), "--token-file",
                      self.path("data/admin-token"))
        self.surefoot("key", "new", "--no-passphrase", self.path("release.pem"))
        self.surefoot("product", "create", "lamp", "--chip", "esp32c3", "--vendor", "example.com",
                      "--slot-size", "0x1e0000", "--release-key", self.path("release.pem"),
                      "--enrol-token", self.path("enrol-token"))
        for scope in ("publisher", "operator"):
            self.surefoot("token", "new", scope, "--scope", scope, "-o", self.path(scope))
        self.uuid = json.loads(self.surefoot("product", "show", "lamp", "--json")
                               )["hw_revisions"][0]["class_uuid"]

    def wait_for_url(self):
        for line in self.server.stdout:
            if b"listening on " in line:
                return "https://localhost:" + line.decode().rstrip().rsplit(":", 1)[1]
        raise RuntimeError("surefootd ended")

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read().strip()

    def surefoot(self, *args):
        return subprocess.run([os.path.join(BIN, "surefoot"), *args], env=self.env, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def firmware(self, version, behaviour="0"):
        """Builds the demo firmware where the recipes expect theirs; its folder."""
        folder = tempfile.mkdtemp(dir=self.dir)
        os.mkdir(os.path.join(folder, "build"))
        subprocess.run([os.path.join(ROOT, "script", "demo-firmware"), "-o",
                        os.path.join(folder, "build", "lamp.bin"), "--version", version, "--class",
                        self.uuid, "--behaviour", behaviour], env=self.env, check=True,
                       stdout=subprocess.DEVNULL)
        return folder

    def close(self):
        self.server.terminate()
        self.server.wait()
        self.server.stdout.close()
        self.log.close()
        shutil.rmtree(self.dir)


class Recipe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = House()

    @classmethod
    def tearDownClass(cls):
        cls.house.close()

    def run_script(self, script, env, folder):
        """Runs it as both CIs do; nothing may stay in $TMPDIR, and no secret on the screen."""
        temporary = tempfile.mkdtemp(dir=self.house.dir)
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                              env={**self.house.env, **env, "TMPDIR": temporary}, cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(os.listdir(temporary), [], "secrets were left behind")
        for secret in ("publisher", "operator"):
            self.assertNotIn(self.house.read(secret), done.stdout)
        self.assertNotIn("PRIVATE KEY", done.stdout)
        return done

    def target(self):
        return json.loads(self.house.surefoot("product", "show", "lamp", "--json"))["target"]

    def versions(self):
        items = json.loads(self.house.surefoot("release", "list", "lamp", "--json"))["items"]
        return [item["version"] for item in items]

    def check_life(self, publish, target, versions):
        """Publishing, again, with another image, and setting the target."""
        first, second = versions
        folder = self.house.firmware(first)
        done = publish(folder)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(first, self.versions())
        done = publish(folder)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("nothing to publish", done.stdout)
        done = publish(self.house.firmware(first, "2:5"))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("with another image", done.stdout)
        self.assertNotEqual(self.target(), first)
        done = target(folder)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.target(), first)
        broken = self.house.firmware(second)
        with open(os.path.join(broken, "build", "lamp.bin"), "r+b") as file:
            file.seek(600)
            file.write(b"\xff\x00\xff\x00")
        done = publish(broken)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn(second, self.versions())


class GitHub(Recipe):
    def value(self, text):
        house = self.house
        known = {
            "vars.SUREFOOT_SERVER": house.url, "vars.SUREFOOT_CA": house.read("data/ca.pem"),
            "secrets.SUREFOOT_TOKEN": house.read("publisher"),
            "secrets.SUREFOOT_OPERATOR_TOKEN": house.read("operator"),
            "secrets.SUREFOOT_RELEASE_KEY": house.read("release.pem"),
            "github.ref_name": "v1", "github.sha": "0123abcd"}
        return EXPRESSION.sub(lambda m: known[m.group(1)], text)

    def step(self, job, name, folder):
        step = github_steps(job)[name]
        env = {**load(GITHUB)["env"], **step.get("env", {})}
        return self.run_script(step["run"], {k: self.value(str(v)) for k, v in env.items()}, folder)

    def publish(self, folder):
        done = self.step("publish", "Verify the image", folder)
        return done if done.returncode != 0 else self.step("publish", "Publish", folder)

    def test_life_of_a_release(self):
        self.check_life(self.publish, lambda folder: self.step("target", "Set the target", folder),
                        ("1.0.0", "1.1.0"))

    def test_no_expression_stands_in_a_script(self):
        for job in load(GITHUB)["jobs"]:
            for step in github_steps(job).values():
                self.assertNotIn("${{", step["run"])

    def test_jobs_wait_for_each_other_and_for_people(self):
        jobs = load(GITHUB)["jobs"]
        self.assertEqual([jobs["publish"]["needs"], jobs["target"]["needs"]], ["build", "publish"])
        self.assertEqual(load(GITHUB)["permissions"], {"contents": "read"})
        self.assertNotEqual(jobs["publish"]["environment"], jobs["target"]["environment"])


class GitLab(Recipe):
    def job(self, name, folder):
        house = self.house
        env = {**load(GITLAB)["variables"], "SUREFOOT_SERVER": house.url,
               "SUREFOOT_CA": house.path("data/ca.pem"), "SUREFOOT_TOKEN": house.path("publisher"),
               "SUREFOOT_OPERATOR_TOKEN": house.path("operator"),
               "SUREFOOT_RELEASE_KEY": house.path("release.pem"), "CI_COMMIT_TAG": "v2",
               "CI_COMMIT_SHA": "0123abcd"}
        return self.run_script("\n".join(load(GITLAB)[name]["script"]), env, folder)

    def test_life_of_a_release(self):
        self.check_life(lambda folder: self.job("publish", folder),
                        lambda folder: self.job("target", folder), ("2.0.0", "2.1.0"))

    def test_stages_are_those_of_the_jobs(self):
        recipe = load(GITLAB)
        self.assertEqual(recipe["stages"],
                         [recipe[job]["stage"] for job in ("build", "publish", "target")])
        self.assertEqual(recipe["target"]["rules"], [{"when": "manual"}])


class Scripts(unittest.TestCase):
    """All of them, those that are not run here too."""

    def scripts(self):
        for job in load(GITHUB)["jobs"]:
            yield from (step["run"] for step in github_steps(job).values())
        for job in load(GITLAB).values():
            if isinstance(job, dict):
                yield from ("\n".join(job[key]) for key in ("before_script", "script") if key in job)

    def test_syntax(self):
        count = 0
        for script in self.scripts():
            done = subprocess.run(["bash", "-n", "-c", script], stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), script)
            count += 1
        self.assertEqual(count, 10)

    def test_what_is_downloaded_is_checked(self):
        for script in self.scripts():
            if "curl" in script and "surefoot.deb" in script:
                self.assertRegex(script, r"sha256sum --check[\s\S]*apt-get install.*surefoot\.deb")

    def test_docs_name_what_the_recipes_want(self):
        with open(os.path.join(ROOT, "docs", "ci.md"), encoding="utf-8") as file:
            docs = file.read()
        wanted = set()
        for path in (GITHUB, GITLAB):
            with open(path, encoding="utf-8") as file:
                wanted |= set(re.findall(r"SUREFOOT_\w+", file.read()))
        for name in sorted(wanted):
            self.assertIn("`" + name + "`", docs)
        for block in re.findall(r"```yaml\n(.*?)```", docs, re.S):
            yaml.safe_load(block)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
