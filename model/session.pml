/*
 * The life of sessions: begun, joined, left, swept, by processes any of which can die before any of its steps.
 *
 * One step is one system call of the code, and bears the name of the function that makes it. docs/store.md says what is
 * modelled and what is left out; scripts/model says with which numbers, and plants the faults (the `#ifdef`s in capitals
 * that begin with FAULT) which the checker has to find.
 *
 * The number of a session is drawn once: so its home and its lock are one inode each, which can only be gone while
 * somebody has them open. The user's directory is made again and again under the same path: there a descriptor may be of
 * another directory than the path names, and `opened` says for each process whether it is of this one.
 */

#ifndef CREATORS
#define CREATORS 1      /* programs that begin a session, make a file, and leave */
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2      /* homes that a creator makes at most (src/store/home.rs: ATTEMPTS) */
#endif
#ifndef WORKERS
#define WORKERS 1       /* that join the session of the first creator */
#endif
#ifndef SWEEPERS
#define SWEEPERS 2
#endif
#ifndef DEATHS
#define DEATHS 1        /* processes that die, at most */
#endif
#ifndef PLACES
#define PLACES 1        /* 1: homes and files in one directory of the user's; 2: in one each */
#endif
#ifdef FAULT_LOOK_TAKES_THE_LOCK
#define LOOKERS 1
#else
#define LOOKERS 0
#endif

#define SESSIONS  (CREATORS * ATTEMPTS)
#define PROCESSES (CREATORS + WORKERS + SWEEPERS + LOOKERS)
#define LAST      (PROCESSES)           /* who sweeps when all others are gone, and does not die */
#define HOME_PLACE 0
#define FILE_PLACE (PLACES - 1)
#define NOBODY    255

#define OK       0
#define NOENT    1
#define BUSY     2
#define NOTEMPTY 3

#define bit(n) (1 << (n))

/* The file system. Who is in a set of processes is a bit in a byte. */
bool user[PLACES];              /* PLACE/ndferry-UID is there */
byte opened[2 * PLACES];        /* who has opened what is there now: for homes, and for files */
bool home[SESSIONS];            /* session-ID */
bool lock[SESSIONS];            /* session-ID/lock */
bool journal[SESSIONS];         /* session-ID/journal */
byte named[SESSIONS];           /* the files it names, registered and not struck, each by its maker's bit */
bool data[SESSIONS];            /* data-ID */
byte file[SESSIONS];            /* the files in it */

/* flock: on the one inode that a session's lock ever is, by name or not. */
byte shared[SESSIONS];
byte exclusive[SESSIONS] = NOBODY;

/* What the processes know of each other. */
byte told = NOBODY;             /* the session whose home the workers were told of: the first creator's */
bool gone_without_telling;

/* What the properties speak of. */
byte member[SESSIONS];          /* who has begun or joined it, and neither left nor died */
byte swept[SESSIONS];           /* how many say that they have removed it */
byte deaths;
byte ended;                     /* processes that are gone, one way or another */

/* What a file is found by, should everybody die now: its name in the journal, and the journal, beside a lock. */
#define sound \
    assert((file[s] & ~named[s]) == 0); \
    assert(!file[s] || data[s]); \
    assert(!data[s] || journal[s]); \
    assert(!journal[s] || lock[s]); \
    assert(!home[s] || user[HOME_PLACE])

/* A step: one system call, before which the process may die instead. What it had open goes in a step of its own. */
#define STEP(...) \
    if \
    :: d_step { me != LAST && deaths < DEATHS -> deaths++ } goto gone \
    :: d_step { __VA_ARGS__; sound } \
    fi

inline entries(place) {
    used = false;
    for (i : 0 .. SESSIONS - 1) {
        used = used || (place == HOME_PLACE && home[i]) || (place == FILE_PLACE && data[i])
    }
    i = 0
}

/* src/store/place.rs. `which` is the descriptor: 0 for homes, 1 for files. */
#define place_of(which) (which -> FILE_PLACE : HOME_PLACE)
#define is_open(which)  (opened[which] & bit(me))

inline of_user(which) {         /* Private::of_user */
    STEP(
        if
        :: user[place_of(which)] -> opened[which] = opened[which] | bit(me); r = OK
        :: else -> opened[which] = opened[which] & ~bit(me); r = NOENT
        fi)
}

inline make_of_user(which) {    /* Private::make_of_user */
    do
    :: of_user(which);
       if :: r == OK -> break :: else fi;
       STEP(user[place_of(which)] = true)
    od
}

inline remove_if_empty(place) { /* Private::remove_if_empty */
    STEP(
        entries(place);
        if
        :: user[place] && !used ->
            user[place] = false;
            if :: place == HOME_PLACE -> opened[0] = 0 :: else fi;
            if :: place == FILE_PLACE -> opened[1] = 0 :: else fi
        :: else
        fi;
        used = false; r = OK)
}

inline sub_home() {             /* Private::sub */
    STEP(r = (is_open(0) && home[s] -> OK : NOENT))
}

/* src/store/lock.rs */
inline open_lock() { STEP(r = (lock[s] -> OK : NOENT)) }

inline hold() {                 /* SessionLock::hold */
    STEP(
        if
        :: exclusive[s] == NOBODY -> shared[s] = shared[s] | bit(me); r = OK
        :: else -> r = BUSY
        fi);
#ifndef FAULT_CREATOR_DOES_NOT_CHECK
    if
    :: r == OK -> STEP(if :: lock[s] -> r = OK :: else -> shared[s] = shared[s] & ~bit(me); r = NOENT fi)
    :: else
    fi
#endif
}

inline claim() {                /* SessionLock::claim: OK is Dead, BUSY is Alive, NOENT is Absent */
    open_lock();
    if
    :: r == OK ->
        STEP(
            if
            :: exclusive[s] == NOBODY && !shared[s] -> exclusive[s] = me; r = OK
            :: else -> r = BUSY
            fi);
#ifndef FAULT_SWEEPER_DOES_NOT_CHECK
        if
        :: r == OK -> STEP(if :: lock[s] -> r = OK :: else -> exclusive[s] = NOBODY; r = NOENT fi)
        :: else
        fi
#endif
    :: else
    fi
}

/* src/store/remains.rs */
inline nobody_is_in_it() { assert(member[s] == 0) }

inline remove_lock() { STEP(nobody_is_in_it(); lock[s] = false) }

inline remove_remains() {       /* Remains::find, Remains::remove, InRoot::remove */
    STEP(nobody_is_in_it(); assert(exclusive[s] == me); r = OK);       /* journal::contents */
    of_user(1);
    if
    :: r == OK ->
        STEP(found = (is_open(1) && data[s] -> file[s] : 0); r = (is_open(1) && data[s] -> OK : NOENT));
        if
        :: r == OK ->
            do
            :: found -> STEP(nobody_is_in_it(); which = found & -found; file[s] = file[s] & ~which; found = found & ~which;
                             which = 0)
            :: else -> break
            od;
            STEP(nobody_is_in_it(); assert(!file[s]); data[s] = false)
        :: else
        fi;
        remove_if_empty(FILE_PLACE)
    :: else
    fi
}

inline remove_home() {          /* Remains::remove_home */
    STEP(nobody_is_in_it(); journal[s] = false; named[s] = 0);
#ifndef FAULT_LOCK_REMOVED_FIRST
    remove_lock();
#endif
    STEP(home[s] = false)
}

/* src/store/sweep.rs */
inline dead() {                 /* Sweeping::dead */
#ifdef FAULT_LOCK_REMOVED_FIRST
    remove_lock();
#endif
    remove_remains();
    remove_home();
    STEP(exclusive[s] = NOBODY; swept[s]++; assert(swept[s] == 1); r = OK)
}

inline remove_empty_home() {    /* Dir::remove_dir, of a home */
    STEP(
        if
        :: is_open(0) && home[s] && (lock[s] || journal[s]) -> r = NOTEMPTY
        :: is_open(0) && home[s] && !lock[s] && !journal[s] -> home[s] = false; r = OK
        :: else -> r = OK
        fi)
}

inline unlocked() {             /* Sweeping::unlocked */
    remove_empty_home();
    if
    :: r == NOTEMPTY ->
        claim();
        if
#ifdef FAULT_SECOND_CLAIM_LET_GO
        :: r == OK -> STEP(exclusive[s] = NOBODY)
#else
        :: r == OK -> dead()
#endif
        :: r == BUSY
        :: r == NOENT ->
#ifndef FAULT_NO_SECOND_LOOK
            remove_empty_home();
#endif
            assert(r == OK)     /* else: reports a home that has other things in it than a session's */
        fi
    :: else
    fi
}

inline session() {              /* Sweeping::session */
    sub_home();
    if
    :: r == OK ->
        claim();
        if
        :: r == OK -> dead()
        :: r == BUSY
        :: r == NOENT -> unlocked()
        fi
    :: else
    fi
}

inline sweep() {                /* Sweeping::run, Sweeping::user */
    of_user(0);
    if
    :: r == OK ->
        STEP(for (i : 0 .. SESSIONS - 1) { todo = todo | (is_open(0) && home[i] -> bit(i) : 0) } i = 0);
        s = 0;
        do
        :: todo & bit(s) -> session(); todo = todo & ~bit(s)
        :: todo && !(todo & bit(s)) -> s++
        :: !todo -> break
        od;
        s = 0;
        remove_if_empty(HOME_PLACE)
    :: else
    fi;
#if PLACES > 1
    of_user(1);
    if :: r == OK -> remove_if_empty(FILE_PLACE) :: else fi
#endif
}

/* src/store/session.rs */
inline leave() {                /* Session::leave, sweep::last_out */
    STEP(assert(home[s] && lock[s]); member[s] = member[s] & ~bit(me); shared[s] = shared[s] & ~bit(me));
    of_user(0);
    if
    :: r == OK -> session(); remove_if_empty(HOME_PLACE)
    :: else
    fi
}

inline register() { STEP(assert(journal[s]); named[s] = named[s] | bit(me)) }

inline create() { STEP(assert(data[s]); file[s] = file[s] | bit(me)) }

inline make() {                 /* Root::make, Session::make */
    do
    :: make_of_user(1);
       STEP(if :: is_open(1) -> data[s] = true; r = OK :: else -> r = NOENT fi);
       if :: r == OK -> STEP(r = (is_open(1) && data[s] -> OK : NOENT)) :: else fi;
       if :: r == OK -> break :: else fi
    od;
#ifdef FAULT_NAMED_AFTER_MAKING
    create(); register()
#else
    register(); create()
#endif
}

inline remove() {               /* Session::remove, by a member */
    STEP(assert(data[s]); file[s] = file[s] & ~bit(me));
    STEP(assert(journal[s]); named[s] = named[s] & ~bit(me))
}

inline end_of_process() {
    d_step {
        for (i : 0 .. SESSIONS - 1) {
            shared[i] = shared[i] & ~bit(me);
            member[i] = member[i] & ~bit(me);
            if :: exclusive[i] == me -> exclusive[i] = NOBODY :: else fi
        }
        for (i : 0 .. 2 * PLACES - 1) { opened[i] = opened[i] & ~bit(me) }
        i = 0;
        r = 0; s = 0; todo = 0; found = 0; which = 0;
        if :: me == 0 && told == NOBODY -> gone_without_telling = true :: else fi;
        ended++
    }
}

proctype Creator(byte me; byte first) {
    byte r, s, todo, found, which, i;
    bool used;

    s = first;
    do                          /* Home::settle */
    :: s == first + ATTEMPTS -> s = 0; goto gone     /* an error: swept away too often */
    :: else ->
        make_of_user(0);
        STEP(if :: is_open(0) -> home[s] = true; r = OK :: else -> r = NOENT fi);
        if
        :: r == OK ->
            sub_home();         /* Home::lock_new */
            if :: r == OK -> STEP(if :: home[s] -> lock[s] = true; r = OK :: else -> r = NOENT fi) :: else fi;
            if :: r == OK -> hold() :: else fi;
            if :: r == OK -> break :: else -> s++ fi
        :: else
        fi
    od;
    STEP(member[s] = member[s] | bit(me); assert(home[s] && lock[s]); journal[s] = true);       /* Journal::create */
    d_step { if :: me == 0 -> told = s :: else fi }
    make();
    if
    :: remove()
    :: true
    fi;
    leave();
gone:
    end_of_process()
}

proctype Worker(byte me) {
    byte r, s, todo, found, which, i;
    bool used;

    if
    :: told != NOBODY -> s = told
    :: told == NOBODY && gone_without_telling -> goto gone
    fi;
    of_user(0);                 /* Home::join */
    if :: r == OK -> sub_home() :: else fi;
    if :: r == OK -> open_lock() :: else fi;
    if :: r == OK -> hold() :: else fi;
    if :: r == OK :: else -> goto gone fi;      /* "the session has ended" */
    STEP(member[s] = member[s] | bit(me); assert(home[s] && lock[s]); r = (journal[s] -> OK : NOENT)); /* Journal::open */
    if :: r == OK -> make() :: else fi;
    leave();
gone:
    end_of_process()
}

proctype Sweeper(byte me) {
    byte r, s, todo, found, which, i;
    bool used;

    sweep();
gone:
    end_of_process()
}

#if LOOKERS
/* Sweeper::dry_run, as it would be if it asked by claiming. */
proctype Looker(byte me) {
    byte r, s, todo, found, which, i;
    bool used;

    of_user(0);
    if :: r == OK -> sub_home() :: else fi;
    if :: r == OK -> claim(); if :: r == OK -> STEP(exclusive[s] = NOBODY) :: else fi :: else fi;
gone:
    end_of_process()
}
#endif

inline nothing_is_left() {
    for (i : 0 .. SESSIONS - 1) {
        assert(!home[i] && !lock[i] && !journal[i] && !data[i] && !file[i])
    }
    for (i : 0 .. PLACES - 1) { assert(!user[i]) }
    i = 0
}

init {
    byte r, s, todo, found, which, i;
    bool used;
    byte me = LAST;

    atomic {
        for (i : 0 .. CREATORS - 1) { run Creator(i, i * ATTEMPTS) }
        for (i : 0 .. WORKERS - 1) { run Worker(CREATORS + i) }
        for (i : 0 .. SWEEPERS - 1) { run Sweeper(CREATORS + WORKERS + i) }
#if LOOKERS
        run Looker(CREATORS + WORKERS + SWEEPERS);
#endif
        i = 0
    }
    ended == PROCESSES;
    if
    :: deaths == 0 -> d_step { nothing_is_left() }      /* who leaves in peace needs nobody to sweep */
    :: else -> sweep(); d_step { nothing_is_left() }
    fi;
gone:
    skip
}
