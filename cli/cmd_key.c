/* surefoot key: new, show. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/p256.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/out.h"

enum { NEW_FORCE };

static const struct cli_option new_options[] = {
    {"force", NULL, "overwrite a file that is there; its key is lost for ever", 0, 0},
    {NULL, NULL, NULL, 0, 0},
};

static json_t *key_json(const char *path, const struct p256_key *key)
{
    return json_pack("{s:o, s:b, s:o, s:o}", "file", out_json_path(path), "private",
                     key->has_private, "kid", out_json_hex(key->public_key.kid, SF_KID_SIZE),
                     "public_key", out_json_hex(key->public_key.xy, SF_P256_KEY_SIZE));
}

static int tell_key(const struct cli_args *args, const char *path, const struct p256_key *key)
{
    if (args->json) {
        return out_json(key_json(path, key));
    }
    char xy[2 * SF_P256_KEY_SIZE + 1];
    char kid[2 * SF_KID_SIZE + 1];
    hex_encode(key->public_key.xy, SF_P256_KEY_SIZE, xy);
    hex_encode(key->public_key.kid, SF_KID_SIZE, kid);
    printf("kid         %s\npublic key  %s\n", kid, xy);
    return keys_print_public(key);
}

static int run_new(const struct cli_args *args)
{
    const char *path = args->operand[0];
    struct p256_key key;
    if (p256_key_generate(&key) != SF_OK) {
        p256_key_release(&key);
        return cli_fail(CLI_LOCAL, "cannot make a key: the cryptography library failed");
    }
    int status = keys_save_private(&key, path, cli_given(args, NEW_FORCE));
    if (status == CLI_OK) {
        cli_note("%s: private key, mode 0600. Keep it offline or in CI's secrets, with a copy: "
                 "devices accept only releases signed with it.",
                 path);
        status = tell_key(args, path, &key);
    }
    p256_key_release(&key);
    return status;
}

static int run_show(const struct cli_args *args)
{
    const char *path = args->operand[0];
    struct p256_key key;
    int status = keys_load_any(&key, path);
    if (status == CLI_OK) {
        status = tell_key(args, path, &key);
    }
    p256_key_release(&key);
    return status;
}

const struct cli_command cmd_key[] = {
    {.name = "new",
     .operands = "FILE",
     .summary = "make a P-256 key pair; the private key goes to FILE (PEM, mode 0600)",
     .examples = "  surefoot key new release.pem\n",
     .options = new_options,
     .operand_min = 1,
     .operand_max = 1,
     .run = run_new},
    {.name = "show",
     .operands = "FILE",
     .summary = "show the public part of a key: kid, x || y in hex, and PEM",
     .examples = "  surefoot key show release.pem\n"
                 "  surefoot key show --json release.pem\n",
     .operand_min = 1,
     .operand_max = 1,
     .run = run_show},
    {.name = NULL},
};
