#ifndef POWERCUT_COMMAND_H
#define POWERCUT_COMMAND_H

/* `surefoot-sim powercut`: argv[0] is the command's name. Returns the exit status. */
int powercut_command(int argc, char **argv);

/* Its part of --help; static. */
const char *powercut_help(void);

#endif
