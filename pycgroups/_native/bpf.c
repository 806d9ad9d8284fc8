#include "bpf.h"

#include <linux/fcntl.h>

#include "sys.h"
#include "text.h"

/* A call with the attributes up to and including the last field that it needs: the kernel takes the others for zero,
 * and would refuse anything else there, which a compiler may leave in the rest of a union. */
#define BPF(command, attr, last) \
    SYS(bpf, command, &(attr), offsetof(union bpf_attr, last) + sizeof((attr).last))

int bpf_load(int type, int attach_type, const char *name, const void *code, uint32_t count, char *log, uint32_t size)
{
    static const char license[] = "Apache-2.0"; /* no helper is called that is for the GPL alone */
    union bpf_attr attr = {
        .prog_type = (uint32_t)type,
        .expected_attach_type = (uint32_t)attach_type,
        .insns = (uint64_t)(uintptr_t)code,
        .insn_cnt = count,
        .license = (uint64_t)(uintptr_t)license,
        .log_level = size > 0,
        .log_size = size,
        .log_buf = (uint64_t)(uintptr_t)(size > 0 ? log : NULL),
    };
    size_t length = text_length(name);
    if (length >= sizeof attr.prog_name)
        return -ENAMETOOLONG;
    text_copy(attr.prog_name, name, length);
    long fd;
    do
        fd = BPF(BPF_PROG_LOAD, attr, expected_attach_type);
    while (fd == -EAGAIN); /* a signal came while the verifier was at work */
    return (int)fd;
}

int bpf_attached(int cgroup, int attach_type, uint32_t *ids)
{
    union bpf_attr attr = {
        .query = {
            .target_fd = (uint32_t)cgroup,
            .attach_type = (uint32_t)attach_type,
            .prog_ids = (uint64_t)(uintptr_t)ids,
            .prog_cnt = BPF_PROGRAMS_MOST,
        },
    };
    long ret = BPF(BPF_PROG_QUERY, attr, query.prog_cnt);
    return ret < 0 ? (int)ret : (int)attr.query.prog_cnt;
}

int bpf_open(uint32_t id)
{
    union bpf_attr attr = {.prog_id = id};
    return (int)BPF(BPF_PROG_GET_FD_BY_ID, attr, prog_id);
}

int bpf_name(int program, char *name)
{
    struct bpf_prog_info info = {0};
    union bpf_attr attr = {
        .info = {
            .bpf_fd = (uint32_t)program,
            .info_len = sizeof info,
            .info = (uint64_t)(uintptr_t)&info,
        },
    };
    long ret = BPF(BPF_OBJ_GET_INFO_BY_FD, attr, info.info);
    if (ret == 0)
        text_copy(name, info.name, sizeof info.name);
    return (int)ret;
}

int bpf_attach(int cgroup, int attach_type, int program, uint32_t flags, int replaced)
{
    union bpf_attr attr = {
        .target_fd = (uint32_t)cgroup,
        .attach_bpf_fd = (uint32_t)program,
        .attach_type = (uint32_t)attach_type,
        .attach_flags = flags,
        .replace_bpf_fd = flags & BPF_F_REPLACE ? (uint32_t)replaced : 0,
    };
    return (int)BPF(BPF_PROG_ATTACH, attr, replace_bpf_fd);
}

int bpf_detach(int cgroup, int attach_type, int program)
{
    union bpf_attr attr = {
        .target_fd = (uint32_t)cgroup,
        .attach_bpf_fd = (uint32_t)program,
        .attach_type = (uint32_t)attach_type,
    };
    return (int)BPF(BPF_PROG_DETACH, attr, attach_type);
}
