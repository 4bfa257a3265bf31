/*
 * empty.c: a preload library that does nothing: what being mapped costs.
 */
int door_empty(void);

int door_empty(void)
{
	return 0;
}
