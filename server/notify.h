#ifndef NOTIFY_H
#define NOTIFY_H

/* Tells the service manager how far we are: "READY=1", "RELOADING=1", "STOPPING=1" as a datagram to
 * $NOTIFY_SOCKET. Without that variable nobody waits, and nothing is sent. Source: sd_notify(3). */
void notify_manager(const char *state);

#endif
