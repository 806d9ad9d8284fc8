#include "overlay.h"

#include <linux/fcntl.h>
#include <linux/mount.h>

#include "sys.h"
#include "text.h"

#define ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* One layer is a tree of its own: overlayfs wants two at least. */
static long open_one(const char *layer)
{
    long tree = SYS(open_tree, AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return tree;
    struct mount_attr attr = {.attr_set = ATTRIBUTES, .propagation = 1 << 18 /* MS_PRIVATE */};
    long ret = SYS(mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr);
    if (ret == 0)
        return tree;
    SYS(close, tree);
    return ret;
}

static long set(long context, const char *key, const char *value)
{
    return SYS(fsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
}

static long set_layers(long context, const char *layers, uint32_t count)
{
    long ret = 0;
    for (; count && ret == 0; count--, layers += text_length(layers) + 1)
        ret = set(context, "lowerdir+", layers);
    return ret;
}

static long mount_it(long context, uint32_t attributes)
{
    long ret = SYS(fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
    return ret < 0 ? ret : SYS(fsmount, context, FSMOUNT_CLOEXEC, attributes);
}

int overlay_open(const char *layers, uint32_t count)
{
    if (count < 2)
        return (int)open_one(layers);
    long context = SYS(fsopen, "overlay", FSOPEN_CLOEXEC);
    if (context < 0)
        return (int)context;
    long ret = set_layers(context, layers, count);
    if (ret == 0)
        ret = mount_it(context, ATTRIBUTES);
    SYS(close, context);
    return (int)ret;
}

int overlay_open_upper(const char *layers, uint32_t count, const char *upper, const char *work, int user)
{
    long context = SYS(fsopen, "overlay", FSOPEN_CLOEXEC);
    if (context < 0)
        return (int)context;
    long ret = set_layers(context, layers, count);
    if (ret == 0)
        ret = set(context, "upperdir", upper);
    if (ret == 0)
        ret = set(context, "workdir", work);
    if (ret == 0 && user)
        ret = SYS(fsconfig, context, FSCONFIG_SET_FLAG, "userxattr", 0, 0);
    if (ret == 0)
        ret = mount_it(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    SYS(close, context);
    return (int)ret;
}
