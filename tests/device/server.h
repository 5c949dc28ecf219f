#ifndef RIG_SERVER_H
#define RIG_SERVER_H

#include "tests/device/rig.h"

void rig_server_open(struct rig_server *s);
void rig_server_close(struct rig_server *s);

/* Fills the reply to one request, with the test's script applied. */
void rig_server_answer(struct rig *r, const struct sf_request *request, struct rig_reply *reply);

#endif
