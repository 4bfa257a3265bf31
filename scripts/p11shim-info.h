/*
 * p11shim-info.h: what the parts of p11shim-info share.
 */
#ifndef P11SHIM_INFO_H
#define P11SHIM_INFO_H

/* version.S: of this software, with the commit */
extern const char p11shim_version[];

/* p11shim-info --config; module: a path, or NULL. An exit status. */
int tell_settings(const char *module);

#endif
