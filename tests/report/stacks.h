/* stacks.h: what signer.c and plugin.c share. */
int here(const char *what);
int plugin_start(void);
int plugin_stop(void);
int plugin_sign(void);
