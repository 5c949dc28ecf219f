#ifndef SF_ROOT_FIELDS_H
#define SF_ROOT_FIELDS_H

#include "formats/root.h"

/* What reading (root.c) and writing (root_make.c) a trust root have in common. */

enum sf_root_field {
    SF_ROOT_FIELD_SPEC = 1,
    SF_ROOT_FIELD_VERSION = 2,
    SF_ROOT_FIELD_ISSUED_AT = 3,
    SF_ROOT_FIELD_EXPIRES = 4,
    SF_ROOT_FIELD_KEYS = 5,
    SF_ROOT_FIELD_ROLES = 6,
    SF_ROOT_FIELD_FLEET = 7,
    SF_ROOT_FIELD_POLICY = 8,
    SF_ROOT_FIELD_REVOKED = 9,
    SF_ROOT_FIELD_ANCHORS = 10,
};

/* The body's protected header: {3: "application/vnd.surefoot.root+cbor"}. */
struct sf_bytes sf_root_protected(void);

#endif
