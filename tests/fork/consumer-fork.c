/*
 * consumer-fork: a plain consumer of a module forks; what do child and parent
 * still have of the module?
 *
 *	consumer-fork [--name NAME] [--mark] --module PATH CASE...
 *
 *	goes-on              the child works without a C_Initialize of its own
 *	initialises          ... after one of its own
 *	daemon               the child of a child that exits (as a daemon does) works
 *	daemon-initialises   ... after a C_Initialize of its own
 *	inherits             the child uses the parent's own session
 *	exits                the child calls exit() and nothing else
 *	finalises            the child calls C_Finalize and exits
 *	execs                the child executes /bin/true
 *	all                  all of these
 *	stale                the child opens a session of its own: the parent's is
 *	                     none any more, and its number is not given out again
 *
 *	--name      what the lines call the module (default: its path)
 *	--mark      the child writes a line to standard error when it begins and
 *	            when it ends, for strace
 *
 * Each case has a fresh process for its parent: it initialises, opens a session
 * and, as far as the module can, logs in, finds the key and signs. Once the
 * child has done its work the parent uses its own session again, while the
 * child is still there and after it is gone. To work is: count the slots, open
 * a session, log in, find the key, sign, close the session; every signature
 * must equal the first, since PKCS #1 v1.5 leaves nothing to chance. Without
 * TOKEN_PIN: a session, without a login. Without TOKEN_LABEL: the first token,
 * or the slots only if there is none.
 *
 * Environment: TOKEN_LABEL, TOKEN_PIN, TOKEN_KEY (see token.h). TOKEN_PATIENCE:
 * after how many seconds a child has hung (10).
 *
 * Prints for each case one line with four fields, separated by tabs:
 *
 *	NAME  CASE  CHILD  PARENT
 *
 * where the last two are `ok`, or what went wrong first. Exit status 0 if all
 * of both are ok, 1 if not, 2 if a parent could not even begin.
 */
#include "names.h"
#include "token.h"
#include <dlfcn.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum depth { SLOTS, SESSION, SIGNATURE };

static const char *module_path, *module_name;
static int patience = 10, mark;

/* A verdict: empty, or what went wrong first. */
struct verdict {
	char text[120];
};

static int judge(struct verdict *verdict, const char *step, CK_RV rv)
{
	if (rv != CKR_OK && !verdict->text[0])
		snprintf(verdict->text, sizeof(verdict->text), "%s: %s", step, rv_name(rv));
	return rv == CKR_OK;
}

/* ---- the consumer */

static CK_FUNCTION_LIST *list;
static struct token own; /* the parent's */
static enum depth depth;
static CK_BYTE first_signature[1024];
static CK_ULONG first_size;

static CK_RV sign(struct token *token)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	CK_BYTE signature[sizeof(first_signature)];
	CK_ULONG size = sizeof(signature);
	CK_RV rv = list->C_SignInit(token->session, &mechanism, token->key);

	if (rv == CKR_OK)
		rv = list->C_Sign(token->session, (CK_BYTE *)"to be signed", 12, signature, &size);
	if (rv != CKR_OK)
		return rv;
	if (!first_size) {
		memcpy(first_signature, signature, size);
		first_size = size;
	}
	return size == first_size && !memcmp(signature, first_signature, size) ? CKR_OK
	                                                                       : CKR_SIGNATURE_INVALID;
}

/* What a session is good for, as deep as the parent came. */
static void use(struct token *token, struct verdict *verdict)
{
	CK_SESSION_INFO info;
	CK_ULONG count = 0;

	if (depth == SLOTS) {
		judge(verdict, "C_GetSlotList", list->C_GetSlotList(CK_FALSE, NULL, &count));
		return;
	}
	judge(verdict, "C_GetSessionInfo", list->C_GetSessionInfo(token->session, &info));
	if (depth == SIGNATURE)
		judge(verdict, "sign", sign(token));
}

/* The token of TOKEN_LABEL, or the first there is. */
static CK_RV find_slot(CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = sizeof(slots) / sizeof(*slots);
	CK_RV rv;

	if (getenv("TOKEN_LABEL"))
		return token_slot(list, slot);
	rv = list->C_GetSlotList(CK_TRUE, slots, &count);
	*slot = slots[0];
	return rv == CKR_OK && count == 0 ? CKR_TOKEN_NOT_PRESENT : rv;
}

/* From the slots to a session that can sign. */
static int begin(struct token *token, struct verdict *verdict)
{
	CK_SLOT_ID slot;
	CK_ULONG count = 0;

	token->list = list;
	if (!judge(verdict, "C_GetSlotList", list->C_GetSlotList(CK_FALSE, NULL, &count)))
		return 0;
	if (depth == SLOTS)
		return 1;
	if (!judge(verdict, "find the token", find_slot(&slot)) ||
	    !judge(verdict, "C_OpenSession",
	           list->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session)))
		return 0;
	return depth == SESSION || (judge(verdict, "C_Login", token_login(token)) &&
	                            judge(verdict, "find the key", token_find_key(token)));
}

static void work(struct verdict *verdict)
{
	struct token token;

	if (!begin(&token, verdict))
		return;
	use(&token, verdict);
	if (depth > SLOTS)
		judge(verdict, "C_CloseSession", list->C_CloseSession(token.session));
}

static CK_RV initialise(void)
{
	static CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};

	return list->C_Initialize(&arguments);
}

static void load(void)
{
	void *handle = dlopen(module_path, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;

	if (handle)
		*(void **)&get = dlsym(handle, "C_GetFunctionList");
	if (!get || get(&list) != CKR_OK) {
		const char *error = dlerror();

		fprintf(stderr, "consumer-fork: %s: %s\n", module_path, error ? error : "no function list");
		exit(2);
	}
}

/* ---- the children */

static void goes_on(struct verdict *verdict)
{
	work(verdict);
}

static void initialises(struct verdict *verdict)
{
	judge(verdict, "C_Initialize", initialise());
	work(verdict);
}

static void inherits(struct verdict *verdict)
{
	use(&own, verdict);
}

/* For modules that start anew in the child, and number from the start. */
static void stale(struct verdict *verdict)
{
	struct token token;
	CK_SESSION_INFO info;
	int i;

	for (i = 0; i < 3 && begin(&token, verdict); i++) {
		CK_RV rv = list->C_GetSessionInfo(own.session, &info);

		judge(verdict, "number", token.session == own.session ? CKR_GENERAL_ERROR : CKR_OK);
		judge(verdict, "the parent's session",
		      rv == CKR_SESSION_HANDLE_INVALID ? CKR_OK
		      : rv                             ? rv
		                                       : CKR_GENERAL_ERROR);
		rv = list->C_CloseSession(own.session);
		judge(verdict, "to close it",
		      rv == CKR_SESSION_HANDLE_INVALID ? CKR_OK
		      : rv                             ? rv
		                                       : CKR_GENERAL_ERROR);
		use(&token, verdict);
	}
}

static void exits(struct verdict *verdict)
{
	(void)verdict;
}

static void finalises(struct verdict *verdict)
{
	judge(verdict, "C_Finalize", list->C_Finalize(NULL));
}

static void execs(struct verdict *verdict)
{
	execl("/bin/true", "true", (char *)NULL);
	judge(verdict, "exec", CKR_GENERAL_ERROR);
}

static const struct test_case {
	const char *name;
	void (*act)(struct verdict *);
	int generations; /* 2: the child of a child that exits at once */
	int says;        /* gives a verdict of its own, and waits for the parent */
	int only_by_name;
} cases[] = {
        {"goes-on", goes_on, 1, 1, 0},     {"initialises", initialises, 1, 1, 0},
        {"daemon", goes_on, 2, 1, 0},      {"daemon-initialises", initialises, 2, 1, 0},
        {"inherits", inherits, 1, 1, 0},   {"exits", exits, 1, 0, 0},
        {"finalises", finalises, 1, 1, 0}, {"execs", execs, 1, 0, 0},
        {"stale", stale, 1, 1, 1},         {NULL, NULL, 0, 0, 0},
};

static void write_mark(const char *text)
{
	if (mark && write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(2);
}

/* `answer` is written to; `dismissed` is at its end when the parent has signed. */
static void child(const struct test_case *c, int answer, int dismissed)
{
	struct verdict verdict = {""};
	char byte;

	if (c->generations == 2 && fork() != 0)
		_exit(0);
	alarm(patience);
	write_mark("child begins\n");
	c->act(&verdict);
	write_mark("child ends\n");
	if (c->says) {
		if (write(answer, &verdict, sizeof(verdict)) != sizeof(verdict) ||
		    read(dismissed, &byte, 1) != 0)
			_exit(2);
	}
	exit(0);
}

/* ---- the parent */

static const char *shown(const struct verdict *verdict)
{
	return verdict->text[0] ? verdict->text : "ok";
}

/* All children, adopted ones too. Whatever ended one of them is said. */
static void reap(struct verdict *verdict)
{
	int status;

	while (wait(&status) > 0) {
		if (verdict->text[0])
			continue;
		if (WIFSIGNALED(status))
			snprintf(verdict->text, sizeof(verdict->text), "%s",
			         WTERMSIG(status) == SIGALRM ? "hung" : strsignal(WTERMSIG(status)));
		else if (WEXITSTATUS(status) != 0)
			snprintf(verdict->text, sizeof(verdict->text), "exit status %d", WEXITSTATUS(status));
	}
}

static void parent_begins(void)
{
	struct verdict verdict = {""};
	CK_SLOT_ID slot;
	const char *pin = getenv("TOKEN_PIN");

	load();
	judge(&verdict, "C_Initialize", initialise());
	if (!verdict.text[0] && (getenv("TOKEN_LABEL") || find_slot(&slot) == CKR_OK))
		depth = pin && *pin ? SIGNATURE : SESSION;
	if (!verdict.text[0] && begin(&own, &verdict))
		use(&own, &verdict);
	if (verdict.text[0]) {
		fprintf(stderr, "consumer-fork: %s: the parent cannot even begin: %s\n", module_name,
		        verdict.text);
		exit(2);
	}
}

/* Returns the exit status. */
static int parent(const struct test_case *c)
{
	struct verdict of_child = {""}, of_parent = {""}, while_alive = {""};
	int answer[2], dismissal[2];
	pid_t pid;

	alarm(6 * patience);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parent_begins();
	if (pipe(answer) < 0 || pipe(dismissal) < 0 || (pid = fork()) < 0) {
		perror("consumer-fork");
		return 2;
	}
	if (pid == 0) {
		close(answer[0]);
		close(dismissal[1]);
		child(c, answer[1], dismissal[0]);
	}
	close(answer[1]);
	close(dismissal[0]);
	if (read(answer[0], &of_child, sizeof(of_child)) < 0)
		perror("consumer-fork");
	use(&own, &while_alive);
	close(dismissal[1]);
	reap(&of_child);
	use(&own, &of_parent);
	work(&of_parent);
	judge(&of_parent, "C_Finalize", list->C_Finalize(NULL));
	printf("%s\t%s\t%s\t%s\n", module_name, c->name, shown(&of_child),
	       shown(while_alive.text[0] ? &while_alive : &of_parent));
	fflush(stdout);
	return of_child.text[0] || of_parent.text[0] || while_alive.text[0];
}

/* One case in a process of its own. */
static int run(const struct test_case *c)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(parent(c));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("%s\t%s\t-\t%s\n", module_name, c->name,
	       WTERMSIG(status) == SIGALRM ? "hung" : strsignal(WTERMSIG(status)));
	return 1;
}

static void usage(void)
{
	fputs("usage: consumer-fork [--name NAME] [--mark] --module PATH CASE...\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"module", required_argument, NULL, 'm'},
	        {"name", required_argument, NULL, 'n'},
	        {"mark", no_argument, NULL, 'M'},
	        {NULL, 0, NULL, 0},
	};
	static const struct rlimit no_core = {0, 0};
	const struct test_case *c;
	int option, worst = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			module_path = optarg;
			break;
		case 'n':
			module_name = optarg;
			break;
		case 'M':
			mark = 1;
			break;
		default:
			usage();
		}
	}
	if (!module_path || optind == argc)
		usage();
	if (!module_name)
		module_name = module_path;
	if (getenv("TOKEN_PATIENCE"))
		patience = atoi(getenv("TOKEN_PATIENCE"));
	setrlimit(RLIMIT_CORE, &no_core);
	for (; optind < argc; optind++) {
		int known = 0;

		for (c = cases; c->name; c++) {
			if (strcmp(argv[optind], c->name) != 0 &&
			    (strcmp(argv[optind], "all") != 0 || c->only_by_name))
				continue;
			int status = run(c);

			known = 1;
			if (status > worst)
				worst = status;
		}
		if (!known)
			usage();
	}
	return worst;
}
