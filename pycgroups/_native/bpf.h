/* bpf(2): load an eBPF program, and put it in its place at a cgroup v2. */
#ifndef PYCGROUPS_BPF_H
#define PYCGROUPS_BPF_H

#include <stdint.h>

#include <linux/bpf.h>

enum {
    BPF_PROGRAMS_MOST = 64, /* BPF_CGROUP_MAX_PROGS of linux/bpf-cgroup-defs.h: of one type, at one cgroup */
};

/* Load a program for cgroups. With room for a log, the verifier says there what it thinks of the program. A descriptor
 * or -errno. */
int bpf_load(int type, int attach_type, const char *name, const void *code, uint32_t count, char *log, uint32_t size);

/* The ids of the programs attached to a cgroup itself, not to those above; room for BPF_PROGRAMS_MOST. Their number or
 * -errno. */
int bpf_attached(int cgroup, int attach_type, uint32_t *ids);

/* A descriptor of a program, or -errno. */
int bpf_open(uint32_t id);

/* The name that a program was loaded with; room for BPF_OBJ_NAME_LEN. 0 or -errno. */
int bpf_name(int program, char *name);

/* Attach a program to a cgroup; with BPF_F_REPLACE among the flags, in the place of another one. 0 or -errno. */
int bpf_attach(int cgroup, int attach_type, int program, uint32_t flags, int replaced);

/* Take a program away from a cgroup. 0 or -errno. */
int bpf_detach(int cgroup, int attach_type, int program);

#endif
