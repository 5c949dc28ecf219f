/* testssl.sh against the real surefootd: nothing above LOW, except what is listed here by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/server/daemon.h"
#include "tests/server/tool.h"

#define TESTSSL "/usr/bin/testssl"

static struct daemon surefootd;

/* By id and severity, so that a worse finding under the same id still fails. */
static const struct {
    const char *id;
    const char *severity;
    const char *reason;
} known[] = {
    {"cert_revocation", "HIGH",
     "a private CA whose leaves live 90 days has neither CRL nor OCSP: devices could not ask them"},
    {"engine_problem", "WARN", "about the OpenSSL that testssl runs on, not about the server"},
    {"sessionresumption_ticket", "WARN",
     "its check now and then gives up, the server answers others"},
    {"RC4", "WARN", "that OpenSSL has no RC4 to offer; the server's list is checked by name below"},
};

/* Findings that a run to its end has: an aborted one must not pass. */
static const struct {
    const char *id;
    const char *severity;
} wanted[] = {
    {"SSLv2", "OK"},
    {"SSLv3", "OK"},
    {"TLS1", "INFO"},
    {"TLS1_1", "INFO"},
    {"TLS1_2", "OK"},
    {"TLS1_3", "OK"},
    {"heartbleed", "OK"},
    {"secure_client_renego", "OK"},
    {"CRIME_TLS", "OK"},
    {"BREACH", "OK"},
    {"LUCKY13", "OK"},
    {"cert_trust", "OK"},
    {"cert_chain_of_trust", "OK"},
};

static int start(void **state)
{
    (void)state;
    daemon_init(&surefootd);
    daemon_start(&surefootd);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(daemon_stop(&surefootd), 0);
    daemon_release(&surefootd);
    return 0;
}

static json_t *run(void)
{
    char url[64];
    char json[DAEMON_PATH + 16];
    char log[DAEMON_PATH + 16];
    json_error_t error;
    (void)snprintf(url, sizeof(url), "https://localhost:%u", surefootd.port);
    (void)snprintf(json, sizeof(json), "%s/testssl.json", surefootd.dir);
    (void)snprintf(log, sizeof(log), "%s/testssl.log", surefootd.dir);
    const char *const quick[] = {TESTSSL,
                                 "--quiet",
                                 "--color",
                                 "0",
                                 "--warnings",
                                 "off",
                                 "--nodns",
                                 "none",
                                 "--ip",
                                 "127.0.0.1",
                                 "--add-ca",
                                 surefootd.ca,
                                 "--jsonfile",
                                 json,
                                 "--openssl-timeout",
                                 "20",
                                 "--connect-timeout",
                                 "20",
                                 "--fast",
                                 "-p",
                                 "-S",
                                 "-P",
                                 "-h",
                                 "-U",
                                 url,
                                 NULL};
    const char *const full[] = {
        TESTSSL,    "--quiet",           "--color",    "0",      "--warnings",
        "off",      "--nodns",           "none",       "--ip",   "127.0.0.1",
        "--add-ca", surefootd.ca,        "--jsonfile", json,     "--openssl-timeout",
        "20",       "--connect-timeout", "20",         "--full", url,
        NULL};
    (void)tool_wait(tool_start(tool_full() ? full : quick, log)); /* counts findings, of any kind */
    json_t *findings = json_load_file(json, 0, &error);
    if (findings == NULL) {
        fail_msg("testssl wrote no findings: %s; see what it said with the same words: %s %s",
                 error.text, TESTSSL, url);
    }
    return findings;
}

static const char *text(const json_t *finding, const char *key)
{
    const char *value = json_string_value(json_object_get(finding, key));
    return value != NULL ? value : "";
}

static int is_known(const json_t *finding)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text(finding, "id"), known[i].id) == 0 &&
            strcmp(text(finding, "severity"), known[i].severity) == 0) {
            print_message("known: %s: %s\n", known[i].id, known[i].reason);
            return 1;
        }
    }
    return 0;
}

static int is_harmless(const json_t *finding)
{
    static const char *const harmless[] = {"OK", "INFO", "LOW", "DEBUG"};
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (strcmp(text(finding, "severity"), harmless[i]) == 0) {
            return 1;
        }
    }
    return is_known(finding);
}

static int has(const json_t *findings, const char *id, const char *severity)
{
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        if (strcmp(text(finding, "id"), id) == 0 &&
            strcmp(text(finding, "severity"), severity) == 0) {
            return 1;
        }
    }
    return 0;
}

static void finds_nothing_above_low(void **state)
{
    (void)state;
    json_t *findings = run();
    unsigned bad = 0;
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        if (!is_harmless(finding)) {
            print_error("%s: %s: %s\n", text(finding, "severity"), text(finding, "id"),
                        text(finding, "finding"));
            bad++;
        }
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!has(findings, wanted[i].id, wanted[i].severity)) {
            print_error("no finding '%s' of severity %s\n", wanted[i].id, wanted[i].severity);
            bad++;
        }
    }
    print_message("%zu findings\n", json_array_size(findings));
    json_decref(findings);
    assert_int_equal(bad, 0);
}

int main(void)
{
    if (!tool_is_there(TESTSSL)) {
        return TOOL_SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_nothing_above_low)};
    return cmocka_run_group_tests(tests, start, stop);
}
