/*
 * stand-in: in place of libp11shim.so for a machine that it was not built for here.
 */
const int p11shim_stand_in = 1;
