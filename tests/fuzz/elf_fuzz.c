/* ELF files to app images: whatever is fed in is refused, or gives an image that our own parser
 * takes. */
/* libs: sf_cli */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "cli/appimage.h"
#include "cli/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const int chips[] = {SF_CHIP_ESP32C3, SF_CHIP_ESP32, SF_CHIP_ESP32C6, SF_CHIP_ESP32P4};
    struct elf_file elf;
    struct sf_diag diag = {0};
    if (elf_file_decode(data, len, &elf, &diag) != SF_OK) {
        assert(diag.why);
        return 0;
    }
    for (unsigned i = 0; i < sizeof chips / sizeof chips[0]; i++) {
        struct appimage image;
        struct inspect inspect;
        const struct appimage_options options = {.chip = chip_find(chips[i])};
        if (appimage_build(&elf, &options, crypto_openssl(), &image) == SF_OK) {
            int err = inspect_image(image.data, image.len, INSPECT_TRAILING_REFUSED, &inspect);
            assert(err == SF_OK);
        } else {
            assert(image.why[0]);
        }
        appimage_release(&image);
    }
    return 0;
}
