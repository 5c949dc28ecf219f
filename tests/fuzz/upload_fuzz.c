/* libs: sf_protocols */
/* An uploaded file: refused with a reason, or an image whose length is the file's. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "server/protocols/upload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("upload", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    struct release_image image = {0};
    struct refusal why = {0};
    if (upload_inspect(fd, crypto_openssl(), &image, &why) == 0) {
        assert(image.length == size);
    } else {
        assert(why.status >= 400 && why.code != NULL && why.message[0] != '\0');
    }
    (void)close(fd);
    return 0;
}
