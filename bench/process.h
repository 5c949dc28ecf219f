#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

/* What other processes of this machine used, from /proc; 0 if it cannot be read. */

/* User and system, all threads. */
double process_cpu_seconds(int pid);

/* Proportional set size: shared pages count once. */
long process_pss_kib(int pid);

#endif
