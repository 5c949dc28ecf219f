#ifndef SF_ERR_H
#define SF_ERR_H

#include <stddef.h>

/* One closed list of errors for every library and program here. 0 is success and every failure is
 * negative, so a function may return a count (>= 0) or an error (< 0) in one int32_t. The numbers
 * are sent in device reports and stored in the database: append within a block of 32, never
 * renumber. Each text continues the sentence "failed: ...", without a full stop. */
#define SF_ERR_MAP(X)                                                              \
    /* generic, -1 to -31 */                                                       \
    X(-1, IO, "input or output operation failed")                                  \
    X(-2, CORRUPT, "stored data fails its own check")                              \
    X(-3, FORMAT, "input does not follow its format")                              \
    X(-4, RANGE, "value outside the allowed range")                                \
    X(-5, NOSPC, "does not fit in the slot or buffer")                             \
    X(-6, NOTFOUND, "not found")                                                   \
    X(-7, EXISTS, "exists already")                                                \
    X(-8, STATE, "not allowed in the present state")                               \
    X(-9, UNSUPPORTED, "not supported here")                                       \
    X(-10, NOMEM, "out of memory")                                                 \
    X(-11, INTERNAL, "internal error")                                             \
    X(-12, BUSY, "busy, try again later")                                          \
    X(-13, CRYPTO, "the cryptography library failed")                              \
    /* formats, -32 to -63 */                                                      \
    X(-32, TRUNCATED, "input ends too early")                                      \
    X(-33, TRAILING, "bytes are left over after the end")                          \
    X(-34, MAGIC, "wrong magic number")                                            \
    X(-35, CHECKSUM, "checksum does not match")                                    \
    X(-36, HASH, "appended SHA-256 does not match")                                \
    X(-37, CHIP_UNKNOWN, "unknown chip id")                                        \
    X(-38, SEGMENTS, "bad segment")                                                \
    X(-39, CBOR, "not deterministic CBOR of the expected shape")                   \
    X(-40, DEPTH, "nested too deeply")                                             \
    X(-41, DUPLICATE, "the same thing is there twice")                             \
    X(-42, OVERLAP, "partitions overlap")                                          \
    X(-43, MD5, "MD5 does not match")                                              \
    X(-44, VERSION, "unknown format version")                                      \
    X(-45, NO_RECORD, "the image carries no updater record")                       \
    /* flash and boot, -64 to -95 */                                               \
    X(-64, FLASH_READ, "flash read failed")                                        \
    X(-65, FLASH_WRITE, "flash write failed")                                      \
    X(-66, FLASH_ERASE, "flash erase failed")                                      \
    X(-67, READ_BACK, "flash reads back other bytes than were written")            \
    X(-68, NO_SLOT, "no second app slot to write to")                              \
    X(-69, NO_OTADATA, "no otadata partition")                                     \
    X(-70, NOT_BOOTABLE, "the image in the slot would not boot")                   \
    X(-71, CRASHED, "the new image crashed during its trial")                      \
    X(-72, SELF_TEST, "a self-test of the new image failed")                       \
    X(-73, SELF_TEST_DEADLINE, "a self-test of the new image passed its deadline") \
    X(-74, NO_SERVER, "the new image could not reach the server in its trial")     \
    X(-75, TRIAL_DEADLINE, "the trial passed its deadline")                        \
    X(-76, WATCHDOG, "the new image hung until the watchdog reset it")             \
    X(-77, POWER, "the trial was cut short by power or sleep")                     \
    X(-78, ROLLBACK_FAILED, "the image to go back to is gone, or failed too")      \
    X(-79, FELL_BACK, "the bootloader refused the new image and ran the old one")  \
    X(-80, STORE, "the record store failed")                                       \
    X(-81, NOT_NOW, "the application does not allow an update now")                \
    X(-82, CHANGED, "the image changed between verification and the switch")       \
    /* network and TLS, -96 to -127 */                                             \
    X(-96, DNS, "the server's name could not be resolved")                         \
    X(-97, CONNECT, "no connection to the server")                                 \
    X(-98, TLS_CERT, "the server's certificate was refused")                       \
    X(-99, TLS_TIME, "the server's certificate is not valid at this time")         \
    X(-100, TLS, "the TLS connection failed")                                      \
    X(-101, NET_MEMORY, "out of memory in the network stack")                      \
    X(-102, STALLED, "no data arrived for too long")                               \
    X(-103, TOO_SLOW, "the transfer is below the minimum speed")                   \
    X(-104, CANCELLED, "cancelled")                                                \
    X(-105, CLOSED, "the connection was closed early")                             \
    X(-106, HTTP_STATUS, "unexpected HTTP status")                                 \
    X(-107, HTTP_RANGE, "the server answered another range than was asked for")    \
    X(-108, HTTP_CHANGED, "the file on the server changed")                        \
    X(-109, HTTP_LENGTH, "the length of the answer does not fit")                  \
    X(-110, TOO_LARGE, "the answer is larger than allowed")                        \
    X(-111, REDIRECT, "redirects are not followed")                                \
    X(-112, UNAUTHORIZED, "the server does not accept the credential")             \
    X(-113, THROTTLED, "the server asks to come back later")                       \
    X(-114, SERVER, "the server failed")                                           \
    X(-115, DEADLINE, "the request passed its deadline")                           \
    X(-116, HTTP_NOT_FOUND, "the server does not have it")                         \
    /* trust, -128 to -159 */                                                      \
    X(-128, SIGNATURE, "the signature does not verify")                            \
    X(-129, KEY_UNKNOWN, "signed with an unknown key")                             \
    X(-130, ALGORITHM, "the algorithm does not fit the key")                       \
    X(-131, DIGEST, "the digest does not match")                                   \
    X(-132, NONCE, "the answer belongs to another request")                        \
    X(-133, NOT_THIS_DEVICE, "meant for another device")                           \
    X(-134, CLASS, "meant for another product or hardware revision")               \
    X(-135, EXPIRED, "expired")                                                    \
    X(-136, COUNTER, "the counter is below the one accepted last, or jumps far")   \
    X(-137, SEQ_OLD, "the manifest is older than one accepted before")             \
    X(-138, SEQ_JUMP, "the manifest's sequence number jumps too far")              \
    X(-139, SECURE_VERSION, "secure_version is not allowed")                       \
    X(-140, NOT_NAMED, "manifest and status do not name the same image")           \
    X(-141, CHIP, "the image is for another chip")                                 \
    X(-142, IMAGE_SIZE, "the image's length is not the signed one")                \
    X(-143, UNCOVERED, "part of the envelope is not covered by the signature")     \
    X(-144, PROFILE, "the manifest uses something outside our profile")            \
    X(-145, CHIP_REVISION, "the image does not run on this chip revision")         \
    X(-146, POLICY, "the trust settings do not allow it")                          \
    X(-147, UNSIGNED, "the image carries no Secure Boot signature")                \
    X(-148, BOOT_KEY, "signed with no Secure Boot key that this device trusts")    \
    X(-149, BOOT_SIGNATURE, "the Secure Boot signature does not verify")           \
    X(-150, THRESHOLD, "fewer valid signatures than the role's threshold")         \
    X(-151, ROOT_VERSION, "not the trust root right after the trusted one")        \
    X(-152, ROOT_LINEAGE, "the trust root does not continue the trusted one")      \
    X(-153, REVOKED, "the trust root has revoked it")                              \
    /* fleet, -160 to -191 */                                                      \
    X(-160, REFUSED, "this release failed on this device before")                  \
    X(-161, TIMED_OUT, "the deployment timed out")                                 \
    X(-162, SUPERSEDED, "replaced by a newer deployment")                          \
    X(-163, QUARANTINED, "the device waits for an operator's approval")

enum sf_err {
    SF_OK = 0,
#define X(value, name, text) SF_ERR_##name = (value),
    SF_ERR_MAP(X)
#undef X
};

/* Returns a static English phrase without a full stop; never NULL. */
const char *sf_err_str(int err);

/* Returns the name without its prefix, in upper case ("NO_RECORD"), "OK" or "UNKNOWN"; static. */
const char *sf_err_name(int err);

/* Where in its input a decoder stopped, and why. Every decoder takes a pointer to one, which may
 * be NULL; it is written on failure only. `why` is a static phrase without a full stop. */
struct sf_diag {
    size_t offset; /* from the start of that decoder's input, bytes */
    const char *why;
};

/* Fills `diag` unless it is NULL, and returns `err`: for `return sf_fail(...)`. */
int sf_fail(struct sf_diag *diag, int err, size_t offset, const char *why);

/* A firmware shows the number alone: it saves 4 KiB by having no diag at all. None is written then,
 * not even on failure. */
#ifdef SF_NO_DIAG
#define sf_fail(diag, err, offset, why) ((void)(diag), (void)(offset), (void)(why), (err))
#endif

#endif
