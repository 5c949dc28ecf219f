/* surefoot trust: init, rotate and revoke (trust_draft.c), sign, merge, show, verify, upload. */

#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/keys.h"
#include "cli/out.h"
#include "cli/passphrase.h"
#include "cli/trust_draft.h"
#include "cli/trust_file.h"
#include "cli/trust_text.h"

enum { WALK_MAX = 33 }; /* files of `verify`: a device's walk, and where it begins */

static int tell(const struct cli_args *args, const struct trust_file *file,
                const struct trust_file *before)
{
    if (args->json) {
        return out_json(trust_json(file, before));
    }
    trust_print(file, before);
    return CLI_OK;
}

static const struct trust_file *or_null(const struct trust_file *before)
{
    return before->path ? before : NULL;
}

/* ---- sign ---- */

enum { S_KEY, S_TRUSTED, S_OUT, S_PASSPHRASE };

static const struct cli_option sign_options[] = {
    {"key", "FILE", "your private root key, a file or a token's URI (required)", 'k', 0},
    {"trusted", "FILE", "the version before, which you trust already; not for version 1", 0, 0},
    {"output", "FILE", "where the signed file goes (the same file)", 'o', 0},
    PASSPHRASE_OPTION,
    {NULL, NULL, NULL, 0, 0},
};

static int check_may_sign(const struct trust_file *file, const struct trust_file *before,
                          const struct sf_public_key *key)
{
    if (trust_has_root_key(&file->root, key) ||
        (before && trust_has_root_key(&before->root, key))) {
        return CLI_OK;
    }
    return cli_fail(CLI_REFUSED,
                    "the key is no root key of '%s'%s: with its signature no device would take it",
                    file->path, before ? ", nor of the version before" : "");
}

static int add_signature(struct trust_file *file, const struct trust_file *before,
                         struct signing_key *key)
{
    const struct sf_signer signer = keys_signer(key);
    int status = check_may_sign(file, before, &key->public_key);
    if (status != CLI_OK) {
        return status;
    }
    unsigned at = 0;
    while (at < file->count && memcmp(file->signature[at].kid, signer.kid, SF_KID_SIZE) != 0) {
        at++;
    }
    if (at == SF_COSE_SIGNATURE_MAX) {
        return cli_fail(CLI_REFUSED,
                        "'%s' carries %d signatures already: there is room for no more", file->path,
                        SF_COSE_SIGNATURE_MAX);
    }
    const int err = sf_root_sign((struct sf_bytes){file->payload, file->payload_len}, &signer,
                                 crypto_openssl(), &file->signature[at]);
    file->count += at == file->count;
    return err == SF_OK ? CLI_OK
                        : cli_fail(CLI_LOCAL, "cannot sign '%s': %s", file->path, sf_err_str(err));
}

static int run_sign(const struct cli_args *args)
{
    struct trust_file file;
    struct trust_file before = {.path = NULL};
    struct signing_key key = {.token = NULL};
    const struct key_request request = {cli_value(args, S_KEY), KEY_ROLE_ROOT,
                                        cli_value(args, S_PASSPHRASE)};
    int status = cli_require(args, S_KEY);
    status = status == CLI_OK ? trust_load(args->operand[0], &file) : status;
    status =
        status == CLI_OK ? trust_load_before(&file, cli_value(args, S_TRUSTED), &before) : status;
    status = status == CLI_OK ? keys_open(&key, &request) : status;
    status = status == CLI_OK ? add_signature(&file, or_null(&before), &key) : status;
    keys_close(&key);
    if (status == CLI_OK) {
        status = trust_save(cli_given(args, S_OUT) ? cli_value(args, S_OUT) : args->operand[0],
                            (struct sf_bytes){file.payload, file.payload_len}, file.signature,
                            file.count);
    }
    return status == CLI_OK ? tell(args, &file, or_null(&before)) : status;
}

/* ---- merge ---- */

enum { M_TRUSTED, M_OUT };

static const struct cli_option merge_options[] = {
    {"trusted", "FILE", "the version before; not for version 1", 0, 0},
    {"output", "FILE", "where the merged file goes (required)", 'o', 0},
    {NULL, NULL, NULL, 0, 0},
};

static int merge_one(struct trust_file *into, const struct trust_file *from)
{
    if (from->payload_len != into->payload_len ||
        memcmp(from->payload, into->payload, from->payload_len) != 0) {
        return cli_fail(CLI_REFUSED,
                        "'%s' and '%s' are different trust roots: only signatures of "
                        "the same one can be merged",
                        into->path, from->path);
    }
    for (unsigned i = 0; i < from->count; i++) {
        unsigned k = 0;
        while (k < into->count &&
               memcmp(into->signature[k].kid, from->signature[i].kid, SF_KID_SIZE) != 0) {
            k++;
        }
        if (k == into->count && k < SF_COSE_SIGNATURE_MAX) {
            into->signature[into->count++] = from->signature[i];
        }
    }
    return CLI_OK;
}

/* What would spoil the whole is left out, or refused with the file's name. */
static int check_signatures(const struct trust_file *file, const struct trust_file *before)
{
    const struct trust_score s = trust_score(file, before);
    if (s.wrong > 0 || s.other > 0) {
        return cli_fail(CLI_REFUSED,
                        "'%s' has a signature %s: with it no device would take the "
                        "whole; leave that file out",
                        file->path,
                        s.wrong > 0 ? "that does not verify" : "by a key that is no root key");
    }
    return CLI_OK;
}

static int run_merge(const struct cli_args *args)
{
    struct trust_file all = {.path = NULL};
    struct trust_file one = {.path = NULL};
    struct trust_file before = {.path = NULL};
    int status = cli_require(args, M_OUT);
    for (unsigned i = 0; status == CLI_OK && i < args->operand_count; i++) {
        struct trust_file *to = i == 0 ? &all : &one;
        status = trust_load(args->operand[i], to);
        if (status == CLI_OK && i == 0) {
            status = trust_load_before(to, cli_value(args, M_TRUSTED), &before);
        }
        status = status == CLI_OK ? check_signatures(to, or_null(&before)) : status;
        status = status == CLI_OK ? merge_one(&all, to) : status;
    }
    if (status == CLI_OK) {
        status = trust_save(cli_value(args, M_OUT), (struct sf_bytes){all.payload, all.payload_len},
                            all.signature, all.count);
    }
    return status == CLI_OK ? tell(args, &all, or_null(&before)) : status;
}

/* ---- show ---- */

enum { W_TRUSTED, W_HEADER };

static const struct cli_option show_options[] = {
    {"trusted", "FILE", "the version before: what changes is marked", 0, 0},
    {"c-header", NULL, "print it as a C header, for the firmware", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static int run_show(const struct cli_args *args)
{
    struct trust_file file;
    struct trust_file before = {.path = NULL};
    int status = trust_load(args->operand[0], &file);
    if (status == CLI_OK && cli_given(args, W_TRUSTED)) {
        status = trust_load_before(&file, cli_value(args, W_TRUSTED), &before);
    }
    if (status != CLI_OK || !cli_given(args, W_HEADER)) {
        return status == CLI_OK ? tell(args, &file, or_null(&before)) : status;
    }
    if (args->json) {
        return cli_fail(CLI_USAGE, "--json and --c-header do not go together");
    }
    if (trust_score(&file, NULL).missing_own > 0) {
        return cli_fail(CLI_REFUSED,
                        "'%s' is not signed by enough of its own root keys: a firmware "
                        "with it would trust what nobody has agreed to",
                        file.path);
    }
    trust_print_c(&file);
    return CLI_OK;
}

/* ---- verify ---- */

/* As a device does: each by the one before; the first is trusted for being named, if it is signed
 * by its own root keys. The i-th is in file[i % 2]. */
static int walk(const struct cli_args *args, struct trust_file file[2])
{
    struct sf_root root;
    struct sf_diag diag = {0};
    int status = CLI_OK;
    for (unsigned i = 0; status == CLI_OK && i < args->operand_count; i++) {
        struct trust_file *now = &file[i % 2];
        const struct trust_file *before = &file[(i + 1) % 2];
        status = trust_load(args->operand[i], now);
        if (status != CLI_OK) {
            return status;
        }
        const struct trust_score s = trust_score(now, NULL);
        int err = SF_OK;
        if (i > 0) {
            err = sf_root_open_next((struct sf_bytes){now->bytes, now->len}, &before->root,
                                    crypto_openssl(), &root, &diag);
        } else if (s.missing_own > 0 || s.wrong > 0) {
            err = s.wrong > 0 ? SF_ERR_SIGNATURE : SF_ERR_THRESHOLD;
        }
        status = err == SF_OK ? CLI_OK
                              : cli_fail(CLI_REFUSED, "trust root '%s' is refused: %s",
                                         args->operand[i], out_reason(err, &diag).text);
    }
    return status;
}

static int run_verify(const struct cli_args *args)
{
    struct trust_file file[2] = {{.path = NULL}, {.path = NULL}};
    const int status = walk(args, file);
    const struct trust_file *last = &file[(args->operand_count - 1) % 2];
    if (status != CLI_OK) {
        return status;
    }
    if (sf_root_expired(&last->root, out_now_s())) {
        return cli_fail(CLI_REFUSED,
                        "trust root '%s' has expired: devices install nothing new under it until "
                        "they get its successor; `surefoot trust rotate` makes one",
                        last->path);
    }
    if (args->json) {
        return out_json(json_pack("{s:b, s:I, s:I}", "ok", 1, "version",
                                  (json_int_t)last->root.version, "expires",
                                  (json_int_t)last->root.expires));
    }
    if (args->operand_count == 1) {
        printf("%s: version %u, signed by enough of its own root keys\n", last->path,
               last->root.version);
    } else {
        printf("%s: version %u; a device that trusts %s takes it\n", last->path, last->root.version,
               args->operand[0]);
    }
    return CLI_OK;
}

/* ---- upload ---- */

static int run_upload(const struct cli_args *args)
{
    struct trust_file file;
    struct client client = {0};
    json_t *answer = NULL;
    int status = trust_load(args->operand[0], &file);
    if (status == CLI_OK && trust_score(&file, NULL).missing_own > 0) {
        char state[TRUST_STATE_MAX];
        trust_state(&file, NULL, state);
        status = cli_fail(CLI_REFUSED, "'%s' cannot be uploaded yet; %s", file.path, state);
    }
    status = status == CLI_OK ? client_open(&client, args->config) : status;
    if (status == CLI_OK) {
        const struct client_path path = client_path("trust", "roots", NULL, NULL);
        const struct client_upload upload = {
            .data = file.bytes, .len = file.len, .content_type = "application/cose"};
        status = client_post(&client, &path, &upload, &answer);
    }
    client_close(&client);
    if (status == CLI_OK && args->json) {
        return out_json(answer);
    }
    json_decref(answer);
    if (status == CLI_OK) {
        printf("version %u is on the server; devices fetch it at their next check-in\n",
               file.root.version);
    }
    return status;
}

const struct cli_command cmd_trust[] = {
    {.name = "init",
     .operands = "",
     .summary = "make the first trust root from public keys",
     .details = "It is signed by root key holders afterwards, each on a machine of their own:\n"
                "carry the file around, or copies of it that `trust merge` puts together.\n",
     .examples = "  surefoot trust init --root alice.pub.pem --root bob.pub.pem --root "
                 "carol.pub.pem \\\n"
                 "      --release release.pub.pem --status status-key.pub.pem -o 1.root\n",
     .options = trust_init_options,
     .run = trust_init_run},
    {.name = "sign",
     .operands = "FILE",
     .summary = "add your signature to a trust root, and say what it says",
     .examples = "  surefoot trust sign 1.root --key alice.pem\n"
                 "  surefoot trust sign 2.root --trusted 1.root --key alice.pem -o 2-alice.root\n",
     .options = sign_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_sign},
    {.name = "merge",
     .operands = "FILE...",
     .summary = "put the signatures of several copies into one file",
     .examples = "  surefoot trust merge 1-alice.root 1-bob.root -o 1.root\n",
     .options = merge_options,
     .operand_min = 1,
     .operand_max = CLI_REPEAT_MAX,
     .run = run_merge},
    {.name = "rotate",
     .operands = "FILE",
     .summary = "make the next trust root: other keys, thresholds, or a later end",
     .details = "A role's keys are replaced as a whole; keys that stay may be named by their kid.\n"
                "It takes signatures of the old root keys and of the new ones.\n",
     .examples = "  surefoot trust rotate 1.root --release new.pub.pem -o 2.root\n"
                 "  surefoot trust rotate 1.root --release new.pub.pem --stolen release -o 2.root\n"
                 "  surefoot trust rotate 1.root --root 0123456789abcdef --root dave.pub.pem "
                 "\\\n      --root-threshold 2 -o 2.root\n",
     .options = trust_rotate_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = trust_rotate_run},
    {.name = "revoke",
     .operands = "FILE",
     .summary = "make the next trust root, under which some manifests are never installed",
     .examples = "  surefoot trust revoke 1.root --manifest lamp-1.2.0.suit -o 2.root\n"
                 "  surefoot trust revoke 1.root -o 2.root \\\n"
                 "      --minimum 7f1c4a52-6a0e-5a53-8c5e-2f3d0c1b9a77=20\n",
     .options = trust_revoke_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = trust_revoke_run},
    {.name = "show",
     .operands = "FILE",
     .summary = "say what a trust root says, and whose signatures it has",
     .examples = "  surefoot trust show 2.root --trusted 1.root\n"
                 "  surefoot trust show 1.root --c-header > surefoot_trust_root.h\n",
     .options = show_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_show},
    {.name = "verify",
     .operands = "FILE...",
     .summary = "check that a device with the first would take all the others; exit 1 = no",
     .examples = "  surefoot trust verify 1.root 2.root\n",
     .operand_min = 1,
     .operand_max = WALK_MAX,
     .run = run_verify},
    {.name = "upload",
     .operands = "FILE",
     .summary = "give a complete trust root to the server, which hands it to devices",
     .examples = "  surefoot trust upload 2.root\n",
     .operand_min = 1,
     .operand_max = 1,
     .place = CLI_ONLINE,
     .run = run_upload},
    {.name = NULL},
};
