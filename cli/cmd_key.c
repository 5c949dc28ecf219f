/* surefoot key: new, show. */

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/out.h"
#include "cli/passphrase.h"

enum { NEW_FORCE, NEW_ROLE, NEW_PASSPHRASE, NEW_OPEN, NEW_TOKEN };

static const struct cli_option new_options[] = {
    {"force", NULL, "overwrite a file that is there; its key is lost for ever", 0, 0},
    {"role", "ROLE", "what it is for: root, release (if not said), status, delta", 0, 0},
    PASSPHRASE_OPTION,
    {"no-passphrase", NULL, "leave the private key open to whoever reads the file (for CI)", 0, 0},
    {"token", "URI", "make the key in a PKCS#11 token; FILE then says where it is", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

enum { SHOW_ROLE };

static const struct cli_option show_options[] = {
    {"role", "ROLE", "say what a key is for that does not say it", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

/* ---- both ---- */

static int read_role(const struct cli_args *args, unsigned option, enum key_role *role)
{
    const char *text = cli_value(args, option);
    if (text && key_role_parse(text, role) != SF_OK) {
        return cli_fail(CLI_USAGE,
                        "--role: '%s' is no role; there are root, release, status and "
                        "delta",
                        text);
    }
    return CLI_OK;
}

enum key_lock { KEY_NO_PRIVATE, KEY_UNLOCKED, KEY_LOCKED };

static json_t *key_json(const char *name, const struct p256_key *key, const struct key_head *head,
                        enum key_lock lock)
{
    const int has_role = head->role != KEY_ROLE_NONE;
    return json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o}", "file", out_json_path(name), "private",
                     lock != KEY_NO_PRIVATE, "encrypted", lock == KEY_LOCKED, "role",
                     has_role ? json_string(key_role_name(head->role)) : json_null(), "kid",
                     out_json_hex(key->public_key.kid, SF_KID_SIZE), "public_key",
                     out_json_hex(key->public_key.xy, SF_P256_KEY_SIZE), "token",
                     out_json_text(head->token[0] ? head->token : NULL));
}

static int tell_key(const struct cli_args *args, const struct p256_key *key,
                    const struct key_head *head, enum key_lock lock)
{
    struct p256_text text;
    if (args->json) {
        return out_json(key_json(args->operand[0], key, head, lock));
    }
    const int status = keys_public_text(key, head, &text);
    if (status == CLI_OK) {
        fwrite(text.text, 1, text.len, stdout);
    }
    p256_text_free(&text);
    return status;
}

/* ---- new ---- */

static int save_private(const struct cli_args *args, const struct p256_key *key, enum key_role role,
                        const char *passphrase)
{
    struct p256_text text;
    int status = CLI_OK;
    if (p256_key_to_text(key, role, passphrase, &text) != SF_OK) {
        status = cli_fail(CLI_LOCAL, "cannot encode the key: the cryptography library failed");
    } else {
        status = keys_save(args->operand[0], text.text, text.len, 0600, cli_given(args, NEW_FORCE));
    }
    p256_text_free(&text);
    return status;
}

static int new_in_file(const struct cli_args *args, const struct key_head *head)
{
    const char *path = args->operand[0];
    const int is_open = cli_given(args, NEW_OPEN);
    struct passphrase pass = {{0}};
    struct p256_key key = {0};
    int status = CLI_OK;
    if (!is_open) {
        status = passphrase_get(&pass, PASSPHRASE_NEW, cli_value(args, NEW_PASSPHRASE),
                                "passphrase of the key");
    }
    if (status == CLI_OK && p256_key_generate(&key) != SF_OK) {
        status = cli_fail(CLI_LOCAL, "cannot make a key: the cryptography library failed");
    }
    status = status == CLI_OK ? save_private(args, &key, head->role, is_open ? NULL : pass.text)
                              : status;
    passphrase_wipe(&pass);
    if (status == CLI_OK) {
        cli_note("%s: private %s key, mode 0600, %s. Keep a copy of it in another place: lost is "
                 "lost.",
                 path, key_role_name(head->role),
                 is_open ? "NOT encrypted: whoever reads the file has the key" : "encrypted");
        status = tell_key(args, &key, head, is_open ? KEY_UNLOCKED : KEY_LOCKED);
    }
    p256_key_release(&key);
    return status;
}

static int save_reference(const struct cli_args *args, const struct p256_key *key,
                          const struct key_head *head)
{
    struct p256_text text;
    int status = keys_public_text(key, head, &text);
    if (status == CLI_OK) {
        status = keys_save(args->operand[0], text.text, text.len, 0644, cli_given(args, NEW_FORCE));
    }
    p256_text_free(&text);
    return status;
}

static int new_in_token(const struct cli_args *args, struct key_head *head)
{
    const char *uri = cli_value(args, NEW_TOKEN);
    struct pkcs11_key *token = NULL;
    struct p256_key key = {0};
    if (!pkcs11_is_uri(uri) || strlen(uri) > KEY_TOKEN_MAX) {
        return cli_fail(CLI_USAGE,
                        "--token wants a URI of at most %d characters like "
                        "pkcs11:token=NAME;object=KEY",
                        KEY_TOKEN_MAX);
    }
    snprintf(head->token, sizeof head->token, "%s", uri);
    const struct pkcs11_request request = {uri, cli_value(args, NEW_PASSPHRASE), NULL};
    int status = pkcs11_generate(&request, &token);
    if (status == CLI_OK) {
        key.public_key = *pkcs11_public_key(token);
        key.pkey = p256_point_to_pkey(key.public_key.xy);
        status = key.pkey ? save_reference(args, &key, head)
                          : cli_fail(CLI_LOCAL, "the token's key is no point of the curve");
    }
    if (status == CLI_OK) {
        cli_note("%s: says that the private %s key is in the token, where it stays. Give this file "
                 "wherever a key is wanted.",
                 args->operand[0], key_role_name(head->role));
        status = tell_key(args, &key, head, KEY_NO_PRIVATE);
    }
    pkcs11_close(token);
    p256_key_release(&key);
    return status;
}

static int run_new(const struct cli_args *args)
{
    struct key_head head = {.role = KEY_ROLE_RELEASE};
    int status = read_role(args, NEW_ROLE, &head.role);
    status =
        status == CLI_OK ? keys_check_place(args->operand[0], cli_given(args, NEW_FORCE)) : status;
    if (status != CLI_OK) {
        return status;
    }
    if (cli_given(args, NEW_OPEN) &&
        (cli_given(args, NEW_PASSPHRASE) || cli_given(args, NEW_TOKEN))) {
        return cli_fail(CLI_USAGE, "--no-passphrase goes with neither --passphrase-file nor "
                                   "--token");
    }
    return cli_given(args, NEW_TOKEN) ? new_in_token(args, &head) : new_in_file(args, &head);
}

/* ---- show ---- */

static int run_show(const struct cli_args *args)
{
    const char *name = args->operand[0];
    struct p256_key key = {0};
    struct key_head head;
    enum key_role role = KEY_ROLE_NONE;
    int status = read_role(args, SHOW_ROLE, &role);
    status = status == CLI_OK ? keys_load_public(&key, name, role, &head) : status;
    if (status == CLI_OK) {
        enum key_lock lock = key.has_private ? KEY_UNLOCKED : KEY_NO_PRIVATE;
        if (!pkcs11_is_uri(name) && p256_file_is_encrypted(name)) {
            lock = KEY_LOCKED;
        }
        head.role = head.role == KEY_ROLE_NONE ? role : head.role;
        status = tell_key(args, &key, &head, lock);
    }
    p256_key_release(&key);
    return status;
}

const struct cli_command cmd_key[] = {
    {.name = "new",
     .operands = "FILE",
     .summary = "make a P-256 key pair, its private half encrypted in FILE or in a token",
     .details =
         "The passphrase is asked for at the terminal, or is the first line of the file that\n"
         "--passphrase-file or SUREFOOT_PASSPHRASE_FILE names; it is never an argument. The\n"
         "public half goes to stdout, in a form that is a key file itself.\n",
     .examples = "  surefoot key new release.pem > release.pub.pem\n"
                 "  surefoot key new --role root alice.pem > alice.pub.pem\n"
                 "  surefoot key new --token 'pkcs11:token=Surefoot;object=release' release.pem\n",
     .options = new_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_new},
    {.name = "show",
     .operands = "FILE",
     .summary = "show the public half of a key: role, kid, x || y in hex, and PEM",
     .details = "FILE may be the URI of a key in a PKCS#11 token. No passphrase is needed.\n",
     .examples = "  surefoot key show release.pem\n"
                 "  surefoot key show --json release.pem\n"
                 "  surefoot key show --role root 'pkcs11:token=YubiKey;id=%02' > alice.pem\n",
     .options = show_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_show},
    {.name = NULL},
};
