/*
 * token.c: the mock's slots, tokens, sessions, keys, signatures and slot
 * events. The life cycle has been checked before anything here runs.
 *
 * A token's PIN is 1234 for user and security officer. The session that calls
 * C_OpenSession is tagged with its opener, which is the pApplication pointer:
 * test consumers pass something that identifies them, and C_CloseAllSessions
 * that closes sessions of two openers breaks a rule.
 */
#include "rooms.h"
#include <unistd.h>

#define MAX_SLOTS 16
#define MAX_SESSIONS 16384 /* a power of two: handle h lies at h % MAX_SESSIONS */

struct session {
	atomic_ulong handle; /* 0 free, BUSY being filled */
	atomic_ulong slot, flags, opener;
	atomic_int signing, verifying, finding; /* finding: 1 begun, 2 all found */
	_Atomic(uint64_t) digest;
};
#define BUSY ~0UL

static struct session sessions[MAX_SESSIONS];
static atomic_ulong newest, lowest_free; /* by number growing, by number re-used */

/* For each slot the logged-in user + 1 in the two low bits, the number of sessions above. */
static atomic_ulong tokens[MAX_SLOTS];
#define ONE_SESSION 4UL
#define USER(word) ((word)&3)

static atomic_ulong events; /* bit by slot */

static CK_ULONG slot_count(void)
{
	long slots = ASK(slots);

	return slots < 0 ? 0 : slots > MAX_SLOTS ? MAX_SLOTS : (CK_ULONG)slots;
}

static bool present(CK_SLOT_ID slot)
{
	return ASK(present) >> slot & 1;
}

static void set_padded(CK_UTF8CHAR *field, size_t size, const char *text)
{
	memset(field, ' ', size);
	memcpy(field, text, strlen(text) < size ? strlen(text) : size);
}
#define PAD(field, text) set_padded(field, sizeof(field), text)

/* ---- general, slots, tokens */

CK_RV mock_C_GetInfo(enum mock_list list, CK_INFO_PTR info)
{
	(void)list;
	if (!info)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof *info);
	info->cryptokiVersion = (CK_VERSION){3, 2};
	info->libraryVersion = (CK_VERSION){1, 0};
	PAD(info->manufacturerID, "libp11shim");
	PAD(info->libraryDescription, "Mock module");
	return CKR_OK;
}

CK_RV mock_C_GetSlotList(enum mock_list list, CK_BBOOL with_token, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CK_ULONG found = 0, room;

	(void)list;
	if (!count)
		return CKR_ARGUMENTS_BAD;
	room = *count;
	for (CK_SLOT_ID slot = 0; slot < slot_count(); slot++)
		if (!with_token || present(slot))
			found++;
	*count = found;
	if (!slots)
		return CKR_OK;
	if (room < found)
		return CKR_BUFFER_TOO_SMALL;
	for (CK_SLOT_ID slot = 0; slot < slot_count(); slot++)
		if (!with_token || present(slot))
			*slots++ = slot;
	return CKR_OK;
}

CK_RV mock_C_GetSlotInfo(enum mock_list list, CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	(void)list;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	if (!info)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof *info);
	PAD(info->slotDescription, "Mock slot");
	PAD(info->manufacturerID, "libp11shim");
	info->flags = CKF_REMOVABLE_DEVICE | (present(slot) ? CKF_TOKEN_PRESENT : 0);
	return CKR_OK;
}

CK_RV mock_C_GetTokenInfo(enum mock_list list, CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	char label[] = "mock-0";

	(void)list;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	if (!present(slot))
		return CKR_TOKEN_NOT_PRESENT;
	if (!info)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof *info);
	label[5] = (char)('0' + slot % 10);
	PAD(info->label, label);
	PAD(info->manufacturerID, "libp11shim");
	PAD(info->model, "mock");
	PAD(info->serialNumber, label);
	info->flags = CKF_TOKEN_INITIALIZED | 0x0cUL; /* login required, user PIN initialised */
	info->ulSessionCount = LOAD(tokens[slot]) / ONE_SESSION;
	info->ulMaxPinLen = info->ulMinPinLen = 4;
	return CKR_OK;
}

CK_RV mock_C_GetMechanismList(enum mock_list list, CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR mechanisms,
                              CK_ULONG_PTR count)
{
	CK_ULONG room;

	(void)list;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	if (!count)
		return CKR_ARGUMENTS_BAD;
	room = *count;
	*count = 2;
	if (!mechanisms)
		return CKR_OK;
	if (room < 2)
		return CKR_BUFFER_TOO_SMALL;
	mechanisms[0] = CKM_RSA_PKCS;
	mechanisms[1] = CKM_SHA256_RSA_PKCS;
	return CKR_OK;
}

CK_RV mock_C_GetMechanismInfo(enum mock_list list, CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                              CK_MECHANISM_INFO_PTR info)
{
	(void)list;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	if (type != CKM_RSA_PKCS && type != CKM_SHA256_RSA_PKCS)
		return CKR_MECHANISM_INVALID;
	if (!info)
		return CKR_ARGUMENTS_BAD;
	*info = (CK_MECHANISM_INFO){2048, 2048, 0x2800UL}; /* sign, verify */
	return CKR_OK;
}

/* ---- sessions */

static struct session *find(CK_SESSION_HANDLE handle)
{
	struct session *session = &sessions[handle % MAX_SESSIONS];

	return handle && handle != BUSY && LOAD(session->handle) == handle ? session : NULL;
}

/* A free session under its new number, still marked BUSY; NULL if all are in use. */
static struct session *claim(CK_SESSION_HANDLE *handle)
{
	for (int tries = 0; tries < MAX_SESSIONS; tries++) {
		unsigned long free = 0;

		*handle = ASK(reuse) ? ADD(lowest_free, 1) + 1 : ADD(newest, 1) + 1;
		if (SWAP(sessions[*handle % MAX_SESSIONS].handle, free, BUSY))
			return &sessions[*handle % MAX_SESSIONS];
	}
	return NULL;
}

static void release(struct session *session, CK_SESSION_HANDLE handle)
{
	unsigned long lowest = LOAD(lowest_free);

	STORE(session->handle, 0);
	while (handle <= lowest)
		if (SWAP(lowest_free, lowest, handle - 1))
			break;
}

CK_RV mock_C_OpenSession(enum mock_list list, CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application,
                         CK_NOTIFY notify, CK_SESSION_HANDLE_PTR handle)
{
	struct session *session;
	CK_SESSION_HANDLE number;

	(void)list;
	(void)notify;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	if (!handle)
		return CKR_ARGUMENTS_BAD;
	if (!(flags & CKF_SERIAL_SESSION))
		return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
	if (!present(slot))
		return CKR_TOKEN_NOT_PRESENT;
	session = claim(&number);
	if (!session)
		return CKR_SESSION_COUNT;
	STORE(session->slot, slot);
	STORE(session->flags, flags);
	STORE(session->opener, (unsigned long)(uintptr_t)application);
	STORE(session->signing, 0);
	STORE(session->verifying, 0);
	STORE(session->finding, 0);
	ADD(tokens[slot], ONE_SESSION);
	STORE(session->handle, number);
	COUNT(opened);
	*handle = number;
	return CKR_OK;
}

/* One session less; with the last one the login ends. False if somebody else closed it meanwhile. */
static bool close_session(struct session *session, CK_SESSION_HANDLE handle)
{
	unsigned long slot = LOAD(session->slot), word = LOAD(tokens[slot]), next, expected = handle;

	if (!SWAP(session->handle, expected, BUSY))
		return false;
	do
		next = word / ONE_SESSION == 1 ? 0 : word - ONE_SESSION;
	while (!SWAP(tokens[slot], word, next));
	release(session, handle);
	COUNT(closed);
	return true;
}

CK_RV mock_C_CloseSession(enum mock_list list, CK_SESSION_HANDLE handle)
{
	struct session *session = find(handle);

	(void)list;
	return session && close_session(session, handle) ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

void drop_session(CK_SESSION_HANDLE handle)
{
	struct session *session = find(handle);

	if (session)
		close_session(session, handle);
}

CK_RV mock_C_CloseAllSessions(enum mock_list list, CK_SLOT_ID slot)
{
	unsigned long handle, opener = 0;
	bool any = false;

	(void)list;
	if (slot >= slot_count())
		return CKR_SLOT_ID_INVALID;
	for (struct session *session = sessions; session < sessions + MAX_SESSIONS; session++) {
		handle = LOAD(session->handle);
		if (!handle || handle == BUSY || LOAD(session->slot) != slot)
			continue;
		if (any && LOAD(session->opener) != opener && !ASK(lenient))
			broken("C_CloseAllSessions closes sessions of two openers");
		any = true;
		opener = LOAD(session->opener);
		close_session(session, handle);
	}
	return CKR_OK;
}

CK_RV mock_C_GetSessionInfo(enum mock_list list, CK_SESSION_HANDLE handle, CK_SESSION_INFO_PTR info)
{
	struct session *session = find(handle);
	CK_STATE state;

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!info)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof *info);
	info->slotID = LOAD(session->slot);
	info->flags = LOAD(session->flags);
	state = info->flags & CKF_RW_SESSION ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
	switch (USER(LOAD(tokens[info->slotID]))) {
	case CKU_USER + 1:
		state++;
		break;
	case CKU_SO + 1:
		state = 4; /* CKS_RW_SO_FUNCTIONS */
		break;
	}
	info->state = state;
	return CKR_OK;
}

void forget_sessions(void)
{
	for (int i = 0; i < MAX_SESSIONS; i++)
		STORE(sessions[i].handle, 0);
	for (int i = 0; i < MAX_SLOTS; i++)
		STORE(tokens[i], 0);
	STORE(lowest_free, 0);
	if (ASK(restart))
		STORE(newest, 0);
}

long open_sessions(void)
{
	unsigned long count = 0;

	for (int slot = 0; slot < MAX_SLOTS; slot++)
		count += LOAD(tokens[slot]) / ONE_SESSION;
	return (long)count;
}

/* ---- login */

long logged_in(void)
{
	long slots = 0;

	for (int slot = 0; slot < MAX_SLOTS; slot++)
		if (USER(LOAD(tokens[slot])))
			slots |= 1L << slot;
	return slots;
}

static CK_RV login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG size)
{
	struct session *session = find(handle);
	unsigned long slot, word;
	bool right = pin && size == strlen(MOCK_PIN) && !memcmp(pin, MOCK_PIN, size);

	COUNT(logins_checked);
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (user > CKU_CONTEXT_SPECIFIC)
		return CKR_USER_TYPE_INVALID;
	slot = LOAD(session->slot);
	word = LOAD(tokens[slot]);
	if (user == CKU_CONTEXT_SPECIFIC)
		return !LOAD(session->signing) ? CKR_OPERATION_NOT_INITIALIZED
		       : right                 ? CKR_OK
		                               : CKR_PIN_INCORRECT;
	do {
		if (USER(word) == user + 1)
			return CKR_USER_ALREADY_LOGGED_IN;
		if (USER(word))
			return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
		if (!right)
			return CKR_PIN_INCORRECT;
	} while (!SWAP(tokens[slot], word, word | (user + 1)));
	return CKR_OK;
}

CK_RV mock_C_Login(enum mock_list list, CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
                   CK_ULONG size)
{
	(void)list;
	return login(handle, user, pin, size);
}

CK_RV mock_C_LoginUser(enum mock_list list, CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
                       CK_ULONG size, CK_UTF8CHAR_PTR name, CK_ULONG name_size)
{
	(void)list;
	(void)name;
	(void)name_size;
	return login(handle, user, pin, size);
}

CK_RV mock_C_Logout(enum mock_list list, CK_SESSION_HANDLE handle)
{
	struct session *session = find(handle);
	unsigned long slot, word;

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	slot = LOAD(session->slot);
	word = LOAD(tokens[slot]);
	do
		if (!USER(word))
			return CKR_USER_NOT_LOGGED_IN;
	while (!SWAP(tokens[slot], word, word - USER(word)));
	return CKR_OK;
}

static bool user_logged_in(struct session *session)
{
	return USER(LOAD(tokens[LOAD(session->slot)])) == CKU_USER + 1;
}

/* ---- objects: one private key on each token */

CK_RV mock_C_FindObjectsInit(enum mock_list list, CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR template,
                             CK_ULONG count)
{
	struct session *session = find(handle);
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	bool matches = true;

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (count && !template)
		return CKR_ARGUMENTS_BAD;
	if (LOAD(session->finding))
		return CKR_OPERATION_ACTIVE;
	for (CK_ULONG i = 0; i < count; i++)
		if (template[i].type == CKA_CLASS && template[i].ulValueLen == sizeof class &&
		    memcmp(template[i].pValue, &class, sizeof class))
			matches = false;
	STORE(session->finding, matches && user_logged_in(session) ? 1 : 2);
	return CKR_OK;
}

CK_RV mock_C_FindObjects(enum mock_list list, CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE_PTR objects,
                         CK_ULONG max, CK_ULONG_PTR count)
{
	struct session *session = find(handle);

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!objects || !count)
		return CKR_ARGUMENTS_BAD;
	if (!LOAD(session->finding))
		return CKR_OPERATION_NOT_INITIALIZED;
	*count = 0;
	if (max && LOAD(session->finding) == 1) {
		objects[(*count)++] = MOCK_KEY(LOAD(session->slot));
		STORE(session->finding, 2);
	}
	return CKR_OK;
}

CK_RV mock_C_FindObjectsFinal(enum mock_list list, CK_SESSION_HANDLE handle)
{
	struct session *session = find(handle);

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!LOAD(session->finding))
		return CKR_OPERATION_NOT_INITIALIZED;
	STORE(session->finding, 0);
	return CKR_OK;
}

static bool is_key(struct session *session, CK_OBJECT_HANDLE object)
{
	return object == MOCK_KEY(LOAD(session->slot)) && user_logged_in(session);
}

CK_RV mock_C_GetAttributeValue(enum mock_list list, CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object,
                               CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	struct session *session = find(handle);
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_BYTE id = 1;
	CK_RV rv = CKR_OK;

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!is_key(session, object))
		return CKR_OBJECT_HANDLE_INVALID;
	if (!template)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < count; i++) {
		const void *value;
		CK_ULONG size, room = template[i].ulValueLen;

		switch (template[i].type) {
		case CKA_CLASS:
			value = &class;
			size = sizeof class;
			break;
		case CKA_TOKEN:
			value = &yes;
			size = sizeof yes;
			break;
		case CKA_ID:
			value = &id;
			size = sizeof id;
			break;
		case CKA_LABEL:
			value = "key1";
			size = 4;
			break;
		default:
			template[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			rv = CKR_ATTRIBUTE_TYPE_INVALID;
			continue;
		}
		template[i].ulValueLen = size;
		if (!template[i].pValue)
			continue;
		if (room < size) {
			template[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			rv = CKR_BUFFER_TOO_SMALL;
			continue;
		}
		memcpy(template[i].pValue, value, size);
	}
	return rv;
}

/* ---- signatures */

static CK_RV begin(struct session *session, atomic_int *operation, CK_MECHANISM_PTR mechanism,
                   CK_OBJECT_HANDLE key)
{
	if (!mechanism)
		return CKR_ARGUMENTS_BAD;
	if (LOAD(*operation))
		return CKR_OPERATION_ACTIVE;
	if (mechanism->mechanism != CKM_RSA_PKCS && mechanism->mechanism != CKM_SHA256_RSA_PKCS)
		return CKR_MECHANISM_INVALID;
	if (!user_logged_in(session))
		return CKR_USER_NOT_LOGGED_IN;
	if (!is_key(session, key))
		return CKR_KEY_HANDLE_INVALID;
	STORE(session->digest, MOCK_DIGEST_START ^ LOAD(session->slot));
	STORE(*operation, 1);
	return CKR_OK;
}

static void add(struct session *session, const void *data, size_t size)
{
	STORE(session->digest, mock_digest(LOAD(session->digest), data, size));
}

/* The end of a signature, by the convention for variable-length output (section 5.2, 2.40). */
static CK_RV sign_end(struct session *session, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	CK_ULONG room = *size;

	*size = MOCK_SIGNATURE_SIZE;
	if (!signature)
		return CKR_OK;
	if (room < MOCK_SIGNATURE_SIZE)
		return CKR_BUFFER_TOO_SMALL;
	STORE(session->signing, 0);
	if (!user_logged_in(session))
		return CKR_USER_NOT_LOGGED_IN;
	mock_digest_end(LOAD(session->digest), signature);
	return CKR_OK;
}

CK_RV mock_C_SignInit(enum mock_list list, CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism,
                      CK_OBJECT_HANDLE key)
{
	struct session *session = find(handle);

	(void)list;
	return session ? begin(session, &session->signing, mechanism, key) : CKR_SESSION_HANDLE_INVALID;
}

CK_RV mock_C_Sign(enum mock_list list, CK_SESSION_HANDLE handle, CK_BYTE_PTR data, CK_ULONG data_size,
                  CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	struct session *session = find(handle);
	uint64_t digest;
	CK_RV rv;

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!LOAD(session->signing))
		return CKR_OPERATION_NOT_INITIALIZED;
	if (!data || !size)
		return CKR_ARGUMENTS_BAD;
	digest = LOAD(session->digest);
	add(session, data, data_size);
	rv = sign_end(session, signature, size);
	STORE(session->digest, digest);
	return rv;
}

CK_RV mock_C_SignUpdate(enum mock_list list, CK_SESSION_HANDLE handle, CK_BYTE_PTR part, CK_ULONG part_size)
{
	struct session *session = find(handle);

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!LOAD(session->signing))
		return CKR_OPERATION_NOT_INITIALIZED;
	if (!part)
		return CKR_ARGUMENTS_BAD;
	add(session, part, part_size);
	return CKR_OK;
}

CK_RV mock_C_SignFinal(enum mock_list list, CK_SESSION_HANDLE handle, CK_BYTE_PTR signature,
                       CK_ULONG_PTR size)
{
	struct session *session = find(handle);

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!LOAD(session->signing))
		return CKR_OPERATION_NOT_INITIALIZED;
	return size ? sign_end(session, signature, size) : CKR_ARGUMENTS_BAD;
}

CK_RV mock_C_VerifyInit(enum mock_list list, CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism,
                        CK_OBJECT_HANDLE key)
{
	struct session *session = find(handle);

	(void)list;
	return session ? begin(session, &session->verifying, mechanism, key) : CKR_SESSION_HANDLE_INVALID;
}

CK_RV mock_C_Verify(enum mock_list list, CK_SESSION_HANDLE handle, CK_BYTE_PTR data, CK_ULONG data_size,
                    CK_BYTE_PTR signature, CK_ULONG size)
{
	struct session *session = find(handle);
	unsigned char right[MOCK_SIGNATURE_SIZE];

	(void)list;
	if (!session)
		return CKR_SESSION_HANDLE_INVALID;
	if (!LOAD(session->verifying))
		return CKR_OPERATION_NOT_INITIALIZED;
	if (!data || !signature)
		return CKR_ARGUMENTS_BAD;
	STORE(session->verifying, 0);
	mock_signature(LOAD(session->slot), data, data_size, right);
	if (size != sizeof right)
		return CKR_SIGNATURE_LEN_RANGE;
	return memcmp(right, signature, size) ? CKR_SIGNATURE_INVALID : CKR_OK;
}

/* ---- slot events */

EXPORT void mock_event(CK_SLOT_ID slot)
{
	atomic_fetch_or_explicit(&events, 1UL << slot, memory_order_relaxed);
}

/* One event belongs to whoever asks first. */
static bool take_event(CK_SLOT_ID *slot)
{
	unsigned long word = LOAD(events);

	do {
		if (!word)
			return false;
		*slot = (CK_SLOT_ID)__builtin_ctzl(word);
	} while (!SWAP(events, word, word & (word - 1)));
	COUNT(events_delivered);
	return true;
}

CK_RV mock_C_WaitForSlotEvent(enum mock_list list, CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved)
{
	unsigned long since;

	(void)list;
	if (!ASK(wait_works) && !ASK(block_wait))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (!slot || reserved)
		return CKR_ARGUMENTS_BAD;
	if (flags & CKF_DONT_BLOCK) {
		COUNT(waits_polling);
		return take_event(slot) ? CKR_OK : CKR_NO_EVENT;
	}
	if (!ASK(block_wait))
		return CKR_FUNCTION_NOT_SUPPORTED;
	COUNT(waits_blocking);
	since = wait_begins();
	while (!wait_is_over(since)) {
		if (take_event(slot))
			return CKR_OK;
		usleep(1000);
	}
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}
