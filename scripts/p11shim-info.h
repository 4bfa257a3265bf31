/*
 * p11shim-info.h: what the parts of p11shim-info share.
 */
#ifndef P11SHIM_INFO_H
#define P11SHIM_INFO_H

/* p11shim-info --config; module: a path, or NULL. An exit status. */
int tell_settings(const char *module);

#endif
