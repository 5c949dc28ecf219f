/* Who may use a product's plain endpoint, and what their headers say.
 *
 * Invariants
 *  1. A product without plain access and one that is not there are answered alike.
 *  2. A token is looked up by its SHA-256; unknown, expired and another product's are answered
 *     alike.
 *  3. A body of 401 and 302 is at least 512 bytes long: esp_https_ota up to ESP-IDF 4.2 reads 289
 *     of it before it goes on, and would wait for ever. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "server/protocols/auth.h"
#include "server/protocols/common.h"
#include "server/protocols/plain.h"
#include "server/protocols/text.h"

enum { TOKEN_MAX = 128, MAC_LEN = 17 };

int plain_basic_decode(const char *authorization, struct plain_basic *out)
{
    static const char scheme[] = "basic ";
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0) {
        return -1;
    }
    const char *text = authorization + sizeof(scheme) - 1;
    text += strspn(text, " ");
    const int32_t len = text_unbase64(text, strlen(text), (uint8_t *)out->text, PLAIN_BASIC_MAX);
    if (len < 0 || memchr(out->text, '\0', (size_t)len) != NULL) {
        return -1;
    }
    out->text[len] = '\0';
    char *colon = strchr(out->text, ':');
    if (colon == NULL) {
        return -1;
    }
    *colon = '\0';
    out->user = out->text;
    out->password = colon + 1;
    return 0;
}

/* The credential that is shown, most specific first; NULL = none. */
static const char *find_credential(const struct exchange *x, struct plain_basic *basic,
                                   struct plain_login *login)
{
    const char *authorization = exchange_header(x, "authorization");
    login->token = exchange_param(x, "token");
    if (plain_basic_decode(authorization, basic) == 0) {
        if (sf_device_id_valid(basic->user)) {
            (void)snprintf(login->device_id, sizeof(login->device_id), "%s", basic->user);
        }
        return login->token != NULL ? login->token : basic->password;
    }
    return login->token != NULL ? login->token : text_bearer(authorization);
}

static int refuse_token(struct exchange *x, struct protocols *p)
{
    if (!may_be_wrong(x, p)) {
        return EXCHANGE_ANSWERED;
    }
    answer_header(x, "WWW-Authenticate", "Basic realm=\"surefoot\", charset=\"UTF-8\"");
    plain_answer_text(x, 401,
                      "this needs a valid token of the product: in the path (/ota/PRODUCT/t/TOKEN/"
                      "firmware.bin), as the password of basic authentication, or as Bearer");
    return EXCHANGE_ANSWERED;
}

static int check_token(struct exchange *x, struct protocols *p, struct plain_login *login)
{
    struct plain_basic basic;
    struct plain_token token = {0};
    uint8_t digest[SF_SHA256_SIZE];
    const char *text = find_credential(x, &basic, login);
    size_t len = text == NULL ? 0 : strnlen(text, TOKEN_MAX + 1);
    if (len == 0 || len > TOKEN_MAX) {
        return refuse_token(x, p);
    }
    int err = sf_sha256(p->crypto, text, len, digest);
    err = err == SF_OK ? store_plain_token_find(reader_of(x, p), digest, &token) : err;
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        answer_store_error(x, err);
        return EXCHANGE_ANSWERED;
    }
    const int64_t now = p->now();
    if (err != SF_OK || token.product_id != login->product.id ||
        (token.expires_at != 0 && now >= token.expires_at)) {
        return refuse_token(x, p);
    }
    if (token.device_id[0] != '\0') {
        memcpy(login->device_id, token.device_id, sizeof(login->device_id));
    }
    return 0;
}

int plain_authorise(struct exchange *x, struct protocols *p)
{
    struct plain_login *login = exchange_alloc(x, sizeof(*login));
    if (login == NULL) {
        return EXCHANGE_ANSWERED;
    }
    const char *name = exchange_param(x, "product");
    int err = store_product_find(reader_of(x, p), name != NULL ? name : "", &login->product);
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        answer_store_error(x, err);
        return EXCHANGE_ANSWERED;
    }
    if (err != SF_OK || login->product.plain_access == PLAIN_ACCESS_NONE) {
        plain_answer_text(x, 404, "no product of this name is served here");
        return EXCHANGE_ANSWERED;
    }
    if (login->product.plain_access == PLAIN_ACCESS_OPEN) {
        struct plain_basic basic;
        (void)find_credential(x, &basic, login);
    } else if (check_token(x, p, login) != 0) {
        return EXCHANGE_ANSWERED;
    }
    x->roles |= ROLE_PLAIN;
    x->who = login->product.name;
    x->handler_data = login;
    return 0;
}

/* ---- what the headers say ---- */

static const char *esp_header(const struct exchange *x, enum plain_client client, const char *name)
{
    char full[40];
    (void)snprintf(full, sizeof(full), "x-esp%s-%s", client == PLAIN_CLIENT_ESP8266 ? "8266" : "32",
                   name);
    return exchange_header(x, full);
}

static enum plain_client client_of(const struct exchange *x)
{
    const char *agent = exchange_header(x, "user-agent");
    for (enum plain_client c = PLAIN_CLIENT_ESP32; c <= PLAIN_CLIENT_ESP8266; c++) {
        if (esp_header(x, c, "sta-mac") != NULL || esp_header(x, c, "mode") != NULL) {
            return c;
        }
    }
    if (agent != NULL && strcmp(agent, "ESP32-http-Update") == 0) {
        return PLAIN_CLIENT_ESP32;
    }
    return agent != NULL && strcmp(agent, "ESP8266-http-Update") == 0 ? PLAIN_CLIENT_ESP8266
                                                                      : PLAIN_CLIENT_OTHER;
}

/* A version goes into the database and to terminals: printable ASCII only. */
static void take_version(const char *text, char out[VERSION_MAX_LEN + 1])
{
    size_t len = 0;
    for (; text != NULL && text[len] != '\0' && len < VERSION_MAX_LEN; len++) {
        out[len] = '?';
        if (text[len] > ' ' && text[len] <= '~') {
            out[len] = text[len];
        }
    }
    out[len] = '\0';
}

static uint32_t take_number(const char *text)
{
    const size_t len = text == NULL ? 0 : strlen(text);
    if (len < 1 || len > 9 || strspn(text, "0123456789") != len) {
        return 0;
    }
    return (uint32_t)strtoul(text, NULL, 10);
}

void plain_report_read(const struct exchange *x, struct plain_report *out)
{
    const struct plain_login *login = x->handler_data;
    *out = (struct plain_report){.client = client_of(x)};
    memcpy(out->id, login->device_id, sizeof(out->id));
    if (out->client == PLAIN_CLIENT_OTHER) {
        return;
    }
    const char *mac = esp_header(x, out->client, "sta-mac");
    const char *mode = esp_header(x, out->client, "mode");
    char id[SF_DEVICE_ID_MAX + 1] = "";
    if (login->device_id[0] == '\0' && mac != NULL && strlen(mac) == MAC_LEN &&
        plain_id_from_mac(mac, id)) {
        memcpy(out->id, id, sizeof(out->id));
    }
    out->filesystem = mode != NULL && strcmp(mode, "sketch") != 0;
    const char *md5 = esp_header(x, out->client, "sketch-md5");
    const char *sha = esp_header(x, out->client, "sketch-sha256");
    out->has_md5 = md5 != NULL && hex_decode(md5, out->md5, SF_MD5_SIZE) == SF_OK;
    out->has_app_sha256 = sha != NULL && hex_decode(sha, out->app_sha256, DIGEST_SIZE) == SF_OK;
    out->free_space = take_number(esp_header(x, out->client, "free-space"));
    take_version(esp_header(x, out->client, "version"), out->version);
}
