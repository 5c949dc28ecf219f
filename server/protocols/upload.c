#include "server/protocols/upload.h"

#include <fcntl.h>
#include <unistd.h>

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

static int feed_file(int fd, struct sf_image_parser *parser, uint32_t *size, struct sf_diag *diag)
{
    uint8_t chunk[READ_SIZE];
    off_t offset = 0;
    for (;;) {
        ssize_t got = pread(fd, chunk, sizeof(chunk), offset);
        if (got < 0) {
            return sf_fail(diag, SF_ERR_IO, (size_t)offset, "the stored file cannot be read");
        }
        if (got == 0) {
            *size = (uint32_t)offset;
            return SF_OK;
        }
        int err = sf_image_feed(parser, chunk, (size_t)got, diag);
        if (err != SF_OK) {
            return err;
        }
        offset += got;
    }
}

int upload_inspect(int fd, const struct sf_crypto *crypto, struct release_image *out,
                   struct refusal *why)
{
    struct sf_image_parser parser;
    struct sf_diag diag = {0};
    struct sf_diag end_diag = {0};
    int err = sf_image_start(&parser, crypto);
    if (err == SF_OK) {
        err = feed_file(fd, &parser, &out->length, &diag);
        int end = sf_image_end(&parser, &end_diag);
        if (err == SF_OK && end != SF_OK) {
            err = end;
            diag = end_diag;
        }
    }
    if (err == SF_OK) {
        uint32_t length = 0;
        err = sf_image_file_length(&parser, &length, &diag);
    }
    if (err != SF_OK) {
        return refuse_image(why, err, &diag);
    }
    out->head = parser.head;
    return 0;
}

int upload_open_manifest(struct sf_bytes envelope, const struct sf_public_key *key,
                         const struct sf_crypto *crypto, struct sf_manifest *out,
                         struct refusal *why)
{
    struct sf_diag diag = {0};
    int err = sf_manifest_open(envelope, key, crypto, out, &diag);
    switch (err) {
    case SF_OK:
        return 0;
    case SF_ERR_KEY_UNKNOWN:
        return refuse(why, 422, "other_key",
                      "the manifest is not signed with the product's release key; sign it with "
                      "that key, or register the new one on the product");
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
