#include "server/protocols/upload.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/esp8266.h"

enum { READ_SIZE = 32768 };

static int refuse_image(struct refusal *why, int err, const struct sf_diag *diag)
{
    if (err == SF_ERR_TRAILING) {
        return refuse(why, 422, "trailing_bytes",
                      "the file goes on behind the end of the image, from byte %zu on: %s. Upload "
                      "the image alone",
                      diag->offset, diag->why == NULL ? "" : diag->why);
    }
    return refuse(why, 422, "not_an_image", "the file is not an ESP32 app image: %s (byte %zu)%s%s",
                  sf_err_str(err), diag->offset, diag->why == NULL ? "" : ": ",
                  diag->why == NULL ? "" : diag->why);
}

int upload_open(const char *path, struct refusal *why)
{
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return refuse(why, 503, "store_unavailable", "the upload cannot be read again: try again");
    }
    return fd;
}

struct inspection {
    struct sf_image_parser parser;
    EVP_MD_CTX *md5;
    uint32_t size; /* bytes of the file */
};

static int feed_file(int fd, struct inspection *i, struct sf_diag *diag)
{
    uint8_t chunk[READ_SIZE];
    off_t offset = 0;
    for (;;) {
        ssize_t got = pread(fd, chunk, sizeof(chunk), offset);
        if (got < 0) {
            return sf_fail(diag, SF_ERR_IO, (size_t)offset, "the stored file cannot be read");
        }
        if (got == 0) {
            i->size = (uint32_t)offset;
            return SF_OK;
        }
        int err = EVP_DigestUpdate(i->md5, chunk, (size_t)got) == 1
                      ? sf_image_feed(&i->parser, chunk, (size_t)got, diag)
                      : SF_ERR_CRYPTO;
        if (err != SF_OK) {
            return err;
        }
        offset += got;
    }
}

static int inspect(int fd, const struct sf_crypto *crypto, struct inspection *i,
                   struct sf_diag *diag)
{
    struct sf_diag end_diag = {0};
    int err = EVP_DigestInit_ex2(i->md5, EVP_md5(), NULL) == 1 ? SF_OK : SF_ERR_CRYPTO;
    err = err == SF_OK ? sf_image_start(&i->parser, crypto) : err;
    if (err != SF_OK) {
        return err;
    }
    err = feed_file(fd, i, diag);
    int end = sf_image_end(&i->parser, &end_diag);
    if (err == SF_OK && end != SF_OK) {
        err = end;
        *diag = end_diag;
    }
    uint32_t length = 0;
    return err == SF_OK ? sf_image_file_length(&i->parser, &length, diag) : err;
}

/* An image for plain products; 1 if it is one. */
static int inspect_esp8266(int fd, struct release_image *out)
{
    struct sf_diag diag = {0};
    uint8_t *data = malloc(ESP8266_IMAGE_MAX + 1);
    const ssize_t len = data != NULL ? pread(fd, data, ESP8266_IMAGE_MAX + 1, 0) : -1;
    int is = len > 0 && esp8266_image_check(data, (size_t)len, &diag) == SF_OK &&
             EVP_Digest(data, (size_t)len, out->md5, NULL, EVP_md5(), NULL) == 1;
    free(data);
    if (is) {
        out->head = (struct sf_image_head){.header = {.chip_id = ESP8266_CHIP}};
        out->length = (uint32_t)len;
    }
    return is;
}

int upload_inspect(int fd, const struct sf_crypto *crypto, struct release_image *out,
                   struct refusal *why)
{
    struct inspection i = {.md5 = EVP_MD_CTX_new()};
    struct sf_diag diag = {0};
    int err = i.md5 != NULL ? inspect(fd, crypto, &i, &diag) : SF_ERR_NOMEM;
    if (err == SF_OK && EVP_DigestFinal_ex(i.md5, out->md5, NULL) != 1) {
        err = SF_ERR_CRYPTO;
    }
    EVP_MD_CTX_free(i.md5);
    if (err != SF_OK && inspect_esp8266(fd, out)) {
        return 0;
    }
    if (err != SF_OK) {
        return refuse_image(why, err, &diag);
    }
    out->length = i.size;
    out->head = i.parser.head;
    if (i.parser.head.header.hash_appended) {
        memcpy(out->app_sha256, i.parser.appended, sizeof(out->app_sha256));
    }
    return 0;
}

int upload_open_manifest(struct sf_bytes envelope, const struct sf_verifier *by,
                         struct sf_manifest *out, struct refusal *why)
{
    struct sf_diag diag = {0};
    int err = sf_manifest_open_by(envelope, by, out, &diag);
    switch (err) {
    case SF_OK:
        return 0;
    case SF_ERR_KEY_UNKNOWN:
        return refuse(why, 422, "other_key",
                      "the manifest is not signed with the product's release key; sign it with "
                      "that key, or register the new one on the product");
    case SF_ERR_THRESHOLD:
        return refuse(why, 422, "too_few_signatures",
                      "the manifest has one signature, and the trust root asks for %u: let another "
                      "release key sign it, too",
                      by->threshold);
    case SF_ERR_SIGNATURE:
        return refuse(why, 422, "bad_signature", "the manifest's signature does not verify");
    default:
        return refuse(why, 422, "bad_manifest", "the manifest is refused: %s (byte %zu)%s%s",
                      sf_err_str(err), diag.offset, diag.why == NULL ? "" : ": ",
                      diag.why == NULL ? "" : diag.why);
    }
}

const char *upload_code(int err)
{
    static const struct {
        int err;
        const char *code;
    } table[] = {
        {SF_ERR_CHIP, "other_chip"},
        {SF_ERR_NOSPC, "too_large"},
        {SF_ERR_NO_RECORD, "no_updater_record"},
        {SF_ERR_CLASS, "other_class"},
        {SF_ERR_SECURE_VERSION, "lower_secure_version"},
        {SF_ERR_DIGEST, "other_digest"},
        {SF_ERR_IMAGE_SIZE, "other_size"},
        {SF_ERR_SEQ_OLD, "bad_seq"},
        {SF_ERR_SEQ_JUMP, "bad_seq"},
        {SF_ERR_RANGE, "bad_seq"},
        {SF_ERR_PROFILE, "bad_manifest"},
        {SF_ERR_VERSION, "other_version"},
        {SF_ERR_EXISTS, "exists"},
        {SF_ERR_NOTFOUND, "not_found"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].err == err) {
            return table[i].code;
        }
    }
    return "refused";
}
