/* For libFuzzer: bytes as a launch plan. What plan_check lets pass has its steps and strings inside the block. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "steps.h"

/* Read what a step names, as the performer would; AddressSanitizer watches. */
static void read_strings(const struct plan_header *plan, const struct plan_step *step)
{
    for (int i = 0; i < PLAN_STRINGS; i++)
        if (strlen((const char *)plan + step->str[i]) > step->len[i])
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan_header *plan = malloc(size); /* of this very size, so that a byte beyond it is seen */
    memcpy(plan, data, size);
    if (plan_check(plan, (uint32_t)size) == 0) {
        if (plan->prepare > plan->setup || plan->setup > plan->steps)
            abort();
        for (uint32_t i = 0; i < plan->steps; i++)
            read_strings(plan, plan_steps(plan) + i);
    }
    free(plan);
    return 0;
}
