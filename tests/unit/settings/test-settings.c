/*
 * test-settings.c: settings, where they come from, and what becomes of mistakes
 * (contract H). Settings are read once a process, so each test runs in a child.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "entrance/start.h"
#include "host/events.h"
#include "record/journal.h"
#include "settings/settings.h"

static char directory[] = "/tmp/p11shim-config-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static const char *in_directory(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static bool log_has(const char *what)
{
	static char text[65536];
	FILE *f = fopen(in_directory("log"), "r");
	if (!f)
		return false;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return strstr(text, what) != NULL;
}

static int setup(void **state)
{
	(void)state;
	unlink(in_directory("log"));
	write_file("p11shim.conf", "");
	setenv("P11SHIM_CONFIG", in_directory("p11shim.conf"), 1);
	setenv("XDG_CONFIG_HOME", directory, 1);
	return 0;
}

static struct settings settings_for(const char *path)
{
	start();
	return settings_of_module(path);
}

static int defaults(void)
{
	struct settings s = settings_for("/usr/lib/softhsm/libsofthsm2.so");
	CHILD_CHECK(s.in_scope && !s.observe && !s.already_report);
	CHILD_CHECK(s.fork == FORK_AUTO && s.at_exit == AT_EXIT_AUTO && s.serialize == SERIALIZE_AUTO);
	CHILD_CHECK(!settings_disabled() && !settings_strip_deepbind() && !events_recorder());
	return 0;
}

/* contract H2: later wins: user's file, named file, variable */
static int precedence(void)
{
	mkdir(in_directory("p11shim"), 0700);
	write_file("p11shim/p11shim.conf", "[*]\nfork = reset\nat-exit = retire\nserialize = yes\n");
	write_file("p11shim.conf", "[*]\nfork = strict\nat-exit = forward\n");
	setenv("P11SHIM_FORK", "off", 1);
	setenv("P11SHIM_DEEPBIND", "strip", 1);
	struct settings s = settings_for("/x.so");
	unlink(in_directory("p11shim/p11shim.conf"));
	CHILD_CHECK(s.fork == FORK_OFF);
	CHILD_CHECK(s.at_exit == AT_EXIT_FORWARD);
	CHILD_CHECK(s.serialize == SERIALIZE_YES);
	CHILD_CHECK(settings_strip_deepbind());
	return 0;
}

/* contract H3: globs on the file name, the path, and the path without links; later lines win */
static int globs(void)
{
	write_file("libreal.so", "");
	CHILD_CHECK(symlink("libreal.so", in_directory("alias.so")) == 0);
	write_file("p11shim.conf", "[lib*.so]\nfork = strict\n[*/special/*]\nfork = off\n"
	                           "[libreal.so]\nalready = report\n[special.so]\nfork=reset\n"
	                           "[lib[yY]64.so] ; [a] comment\nfork = reset\n");
	CHILD_CHECK(settings_for("/a/libx.so").fork == FORK_STRICT);
	CHILD_CHECK(settings_for("/a/x.so").fork == FORK_AUTO);
	CHILD_CHECK(settings_for("/a/libY64.so").fork == FORK_RESET);
	CHILD_CHECK(settings_for("/a/libz64.so").fork == FORK_STRICT);
	CHILD_CHECK(settings_for("/a/special/libx.so").fork == FORK_OFF);
	CHILD_CHECK(settings_for("/a/special/special.so").fork == FORK_RESET);
	CHILD_CHECK(settings_for(in_directory("alias.so")).already_report);
	unlink(in_directory("alias.so"));
	return 0;
}

/* contract H1: modules = patterns or known; an exclude always wins */
static int scope(void)
{
	write_file("p11shim.conf", "[*]\nmodules = libsoft*.so, */mine/*\n[*/mine/not.so]\nexclude = yes\n");
	CHILD_CHECK(settings_for("/usr/lib/libsofthsm2.so").in_scope);
	CHILD_CHECK(settings_for("/opt/mine/a.so").in_scope);
	CHILD_CHECK(!settings_for("/opt/mine/not.so").in_scope);
	CHILD_CHECK(!settings_for("/usr/lib/other.so").in_scope);
	return 0;
}

static int known(void)
{
	write_file("p11shim.conf", "[*]\nmodules = known\n[house*.so]\nfork = off\n");
	CHILD_CHECK(settings_for("/usr/lib/house-hsm.so").in_scope);
	CHILD_CHECK(settings_for("/usr/lib/softhsm/libsofthsm2.so").in_scope);
	CHILD_CHECK(!settings_for("/usr/lib/nobody-knows.so").in_scope);
	return 0;
}

/* contract H3: a mistake is told with file and line, and that line alone is lost */
static int mistakes(void)
{
	char text[4096] = "[*]\nfork = sometimes\nspoon = yes\nalready = report\nthis is nothing\n; ";
	memset(text + strlen(text), 'x', 3000);
	strcat(text, "\n[lib.so]\nlog = stderr\nserialize = yes\n");
	write_file("p11shim.conf", text);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	struct settings s = settings_for("/lib.so");
	CHILD_CHECK(s.already_report && s.serialize == SERIALIZE_YES && s.fork == FORK_AUTO);
	CHILD_CHECK(log_has("p11shim.conf:2: not a value of fork (auto, reset, strict, off): sometimes"));
	CHILD_CHECK(log_has("p11shim.conf:3: no such setting: spoon"));
	CHILD_CHECK(log_has("p11shim.conf:5: neither [section] nor key = value"));
	CHILD_CHECK(log_has("p11shim.conf:6: line too long"));
	CHILD_CHECK(log_has("p11shim.conf:8: only allowed in section [*]: log"));
	return 0;
}

/* contract H3: a long section name is a whole one; blanks before a line mean nothing */
static int long_names(void)
{
	char path[400], text[1000];
	memset(path, 'd', sizeof path);
	memcpy(path, "/opt/", 5);
	strcpy(path + 300, "/module.so");
	snprintf(text, sizeof text, "[%s]\nexclude = yes\n [*.so]\nlog = stderr\n\talready = report\n", path);
	write_file("p11shim.conf", text);
	CHILD_CHECK(!settings_for(path).in_scope);
	path[200] = 'x';
	CHILD_CHECK(settings_for(path).in_scope);
	CHILD_CHECK(settings_for(path).already_report);
	return 0;
}

/* contract H3: a mistake is told with what may have been meant, if anything is near */
static int near_ones(void)
{
	write_file("p11shim.conf",
	           "[*]\nfrok = strict\nat_exit = retire\nfork = strikt\ndrain = on\nmode = Observe\n"
	           "x = y\n[libsofthsn2.so]\nwait = pol\nlogs = stderr\n");
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	setenv("P11SHIM_FROK", "strict", 1);
	setenv("P11SHIM_LOGOFF", "held", 1);
	setenv("P11SHIM_Fork", "strict", 1);
	setenv("P11SHIM_AT-EXIT", "retire", 1);
	setenv("P11SHIM_DRAIN", "yse", 1);
	setenv("P11SHIM_NOTHING_LIKE_IT", "1", 1);
	struct settings s = settings_for("/lib.so");
	CHILD_CHECK(s.fork == FORK_AUTO && s.at_exit == AT_EXIT_AUTO && s.drain == DRAIN_NO && !s.observe);
	CHILD_CHECK(log_has("p11shim.conf:2: no such setting: frok; did you mean fork?\n"));
	CHILD_CHECK(log_has("p11shim.conf:3: no such setting: at_exit; did you mean at-exit?\n"));
	CHILD_CHECK(log_has("p11shim.conf:4: not a value of fork (auto, reset, strict, off): strikt; did you "
	                    "mean strict?\n"));
	CHILD_CHECK(log_has("p11shim.conf:5: not a value of drain (no, yes, report): on\n"));
	CHILD_CHECK(log_has(
	        "p11shim.conf:6: not a value of mode (normal, observe): Observe; did you mean observe?\n"));
	CHILD_CHECK(log_has("p11shim.conf:7: no such setting: x\n"));
	CHILD_CHECK(
	        log_has("p11shim.conf:9: not a value of wait (poll, forward): pol; did you mean poll?\n"));
	CHILD_CHECK(log_has("p11shim.conf:10: no such setting: logs; did you mean log?\n"));
	CHILD_CHECK(log_has(" settings P11SHIM_FROK: no such setting: frok; did you mean fork?\n"));
	CHILD_CHECK(log_has(" settings P11SHIM_LOGOFF: no such setting: logoff; did you mean logout?\n"));
	CHILD_CHECK(log_has(" settings P11SHIM_Fork: no such setting: Fork; did you mean P11SHIM_FORK?\n"));
	CHILD_CHECK(log_has(
	        " settings P11SHIM_AT-EXIT: no such setting: AT-EXIT; did you mean P11SHIM_AT_EXIT?\n"));
	CHILD_CHECK(log_has(
	        " settings P11SHIM_DRAIN: not a value of drain (no, yes, report): yse; did you mean yes?\n"));
	CHILD_CHECK(log_has(" settings P11SHIM_NOTHING_LIKE_IT: no such setting: nothing-like-it\n"));
	CHILD_CHECK(!log_has("softhsn")); /* a section may be of a module that is not there yet */
	return 0;
}

/* contract H3: variables of ours that are no settings, of others, and empty ones are no mistakes */
static int other_variables(void)
{
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	setenv("P11SHIM_TEST_SETTINGS", "x", 1);
	setenv("P11SHIM_FROK", " ", 1);
	setenv("P11SHIMS", "x", 1);
	setenv("p11shim_plan", "x", 1);
	setenv("MY_P11SHIM_FROK", "x", 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	journal_write_note("test", "the log is open");
	CHILD_CHECK(log_has("the log is open") && !log_has("settings"));
	return 0;
}

static int unreadable(void)
{
	setenv("P11SHIM_CONFIG", "/nonexistent/p11shim.conf", 1);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	CHILD_CHECK(log_has("/nonexistent/p11shim.conf: cannot be read: No such file"));
	return 0;
}

static int a_directory(void)
{
	setenv("P11SHIM_CONFIG", directory, 1);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	CHILD_CHECK(log_has("cannot be read: Is a directory"));
	return 0;
}

/* contract H3: what would have to be waited for, or does not end, is no file of settings */
static int endless(void)
{
	const char *path = in_directory("pipe");
	CHILD_CHECK(mkfifo(path, 0600) == 0);
	int writer = open(path, O_RDWR);
	CHILD_CHECK(writer >= 0);
	setenv("P11SHIM_CONFIG", path, 1);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	CHILD_CHECK(log_has("/pipe: cannot be read: Resource temporarily unavailable"));
	return 0;
}

static int too_large(void)
{
	setenv("P11SHIM_CONFIG", "/dev/zero", 1);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	CHILD_CHECK(log_has("/dev/zero: cannot be read: File too large"));
	return 0;
}

/* contract H3: lines below a section that cannot be read are not the section's before it */
static int lost_section(void)
{
	char text[4096] = "[*]\nalready = report\n[lib.so\nexclude = yes\n[a.so]\nfork = off\n[";
	memset(text + strlen(text), 'x', 2000);
	strcat(text, "]\nfork = strict\n[b.so]\nfork = reset\n");
	write_file("p11shim.conf", text);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope && settings_for("/lib.so").already_report);
	CHILD_CHECK(settings_for("/a.so").fork == FORK_OFF);
	CHILD_CHECK(settings_for("/b.so").fork == FORK_RESET);
	CHILD_CHECK(log_has("p11shim.conf:3: neither [section] nor key = value"));
	CHILD_CHECK(log_has("p11shim.conf:4: its section's line cannot be read: exclude"));
	CHILD_CHECK(log_has("p11shim.conf:7: line too long"));
	CHILD_CHECK(log_has("p11shim.conf:8: its section's line cannot be read: fork"));
	return 0;
}

/* contract H3: each mistake is told, not the first of its kind */
static int each_mistake(void)
{
	write_file("p11shim.conf", "[*]\none\ntwo\t; = 2\n\n# three\n; four\nfive\nalready = report\n");
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").already_report);
	CHILD_CHECK(log_has("p11shim.conf:2: neither"));
	CHILD_CHECK(log_has("p11shim.conf:3: neither"));
	CHILD_CHECK(log_has("p11shim.conf:7: neither"));
	CHILD_CHECK(!log_has("p11shim.conf:5:") && !log_has("p11shim.conf:6:"));
	return 0;
}

/* contract H3: a mark of UTF-8, carriage returns and zeros change nothing */
static int odd_bytes(void)
{
	FILE *f = fopen(in_directory("p11shim.conf"), "w");
	static const char text[] = "\xef\xbb\xbf[*]\r\nalready = report\r\n\0\0[lib.so]\r\nfork = off\r\n";
	CHILD_CHECK(f && fwrite(text, 1, sizeof text - 1, f) == sizeof text - 1 && fclose(f) == 0);
	CHILD_CHECK(settings_for("/lib.so").already_report);
	CHILD_CHECK(settings_for("/lib.so").fork == FORK_OFF);
	CHILD_CHECK(settings_for("/other.so").fork == FORK_AUTO);
	return 0;
}

/* contract H3: a key without a value says nothing, in a file or a variable */
static int no_value(void)
{
	write_file("p11shim.conf", "[*]\nmodules =\ntrace = ; nothing\n");
	setenv("P11SHIM_MODULES", " ", 1);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	CHILD_CHECK(log_has("p11shim.conf:2: no value given: modules"));
	CHILD_CHECK(log_has("p11shim.conf:3: no value given: trace"));
	return 0;
}

/* contract H4 */
static int disabled(void)
{
	setenv("P11SHIM_DISABLE", "1", 1);
	CHILD_CHECK(settings_disabled());
	return 0;
}

static int garbage(void)
{
	char text[8192];
	srand(20261121);
	for (size_t i = 0; i < sizeof text - 1; i++)
		text[i] = (char)(rand() % 255 + 1);
	text[sizeof text - 1] = '\0';
	write_file("p11shim.conf", text);
	setenv("P11SHIM_LOG", in_directory("log"), 1);
	CHILD_CHECK(settings_for("/lib.so").in_scope);
	return 0;
}

#define TEST(name)                                   \
	static void test_##name(void **state)        \
	{                                            \
		(void)state;                         \
		assert_int_equal(in_child(name), 0); \
	}
TEST(defaults)
TEST(precedence)
TEST(globs)
TEST(scope)
TEST(known)
TEST(mistakes)
TEST(long_names)
TEST(near_ones)
TEST(other_variables)
TEST(unreadable)
TEST(a_directory)
TEST(endless)
TEST(too_large)
TEST(lost_section)
TEST(each_mistake)
TEST(odd_bytes)
TEST(no_value)
TEST(disabled)
TEST(garbage)

/* `test-settings probe`: what holds, for a test that runs it with raised privileges */
static int probe(void)
{
	struct settings s = settings_for("/lib.so");
	printf("fork=%d disabled=%d log=%d\n", (int)s.fork, settings_disabled(), events_recorder() != NULL);
	return 0;
}

/*
 * Does "/" lead to the root directory? An emulator that is told where another processor's files are
 * (qemu -L) leads it there, and then root can tell of no file how it is reached: the tests are done
 * by another user.
 */
static bool root_is_seen(void)
{
	struct stat named, above;
	return geteuid() != 0 ||
	       (stat("/", &named) == 0 && stat("/tmp/..", &above) == 0 && named.st_ino == above.st_ino &&
	        named.st_dev == above.st_dev);
}

int main(int count, char **arguments)
{
	if (count > 1 && strcmp(arguments[1], "probe") == 0)
		return probe();
	if (!root_is_seen() && seteuid(65534) != 0)
		return 1;
	if (!mkdtemp(directory))
		return 1;
	const struct CMUnitTest tests[] = {
#define UNIT(name) cmocka_unit_test_setup(test_##name, setup)
	        UNIT(defaults),     UNIT(precedence), UNIT(globs),           UNIT(scope),
	        UNIT(known),        UNIT(mistakes),   UNIT(long_names),      UNIT(unreadable),
	        UNIT(a_directory),  UNIT(endless),    UNIT(too_large),       UNIT(lost_section),
	        UNIT(each_mistake), UNIT(odd_bytes),  UNIT(no_value),        UNIT(disabled),
	        UNIT(garbage),      UNIT(near_ones),  UNIT(other_variables),
	};
	int failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);
	char command[300];
	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	return system(command) || failed;
}
