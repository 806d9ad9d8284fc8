/* What is said of a program that the kernel refuses, where nobody listens any more: to those who read its output. */
#ifndef PYCGROUPS_REFUSAL_H
#define PYCGROUPS_REFUSAL_H

/* One line on stderr, if the program's filter lets it be written; `error` is -errno. */
void refusal_tell(const char *program, int error);

#endif
