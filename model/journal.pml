/*
 * The journal: named in before a file is made, struck from after it is gone, compacted into a new file that takes the old
 * one's name, read without a lock, and swept; by two processes, one of which leaves while it is at it.
 *
 * One step is one system call of the code, or one take of a lock within a process, and bears the name of the function that
 * makes it. Here the path may name another inode than a process has open and has locked: so inodes have numbers.
 */

#ifndef COMPACTIONS
#define COMPACTIONS 2   /* times that somebody finds compacting worth it, at most */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif
#ifndef READERS
#define READERS 1       /* list the files while all that goes on */
#endif

#define PARENT    0     /* two threads: one makes and removes a file, one leaves */
#define WORKER    1     /* makes a file, removes it, leaves */
#define SWEEPER   2
#define LAST      3     /* who sweeps when all others are gone, and does not die */
#define THREADS   (3 + SWEEPERS)
#define INODES    (COMPACTIONS + 2)
#define NONE      0     /* no inode */
#define NOBODY    255

#define OK     0
#define NOENT  1
#define BUSY   2

#define bit(n) (1 << (n))

/* The home. */
bool home = true;
bool lock = true;
byte journal = 1;               /* the inode of that name */
byte next;
byte inodes = 1;                /* made so far */
byte live[INODES];              /* what the journal that is this inode names, and has not struck */
byte locked[INODES] = NOBODY;   /* flock on it */
byte file;                      /* the temp files there are */

/* flock on the session's lock. */
byte shared = bit(PARENT) | bit(WORKER);
byte exclusive = NOBODY;

/* Inside of a process: Session::membership, Journal's mutex and what it guards. */
bool is_left[2];
byte members[2];                /* threads that keep the process from leaving */
bool appending[2];
byte open[2] = 1;               /* the journal this process has open */

bool dead[4];
byte deaths;
byte compactions;
byte ended;

/* A step: before it, the process may die, with all its threads; `when` is what it has to wait for. */
#define STEP_WHEN(when, ...) \
    if \
    :: d_step { me != LAST && !dead[me] && deaths < DEATHS -> deaths++; die() } goto gone \
    :: d_step { dead[me] -> r = 0 } goto gone \
    :: d_step { !dead[me] && (when) -> __VA_ARGS__; no_name_is_lost() } \
    fi
#define STEP(...) STEP_WHEN(true, __VA_ARGS__)

inline die() {
    dead[me] = true;
    shared = shared & ~bit(me);
    if :: exclusive == me -> exclusive = NOBODY :: else fi;
    for (i : 0 .. INODES - 1) { if :: locked[i] == me -> locked[i] = NOBODY :: else fi }
    i = 0
}

inline no_name_is_lost() { assert(!file || (journal != NONE && (file & ~live[journal]) == 0)) }

/* src/store/session.rs: Session::membership */
inline enter() {
    STEP_WHEN(!leaving[me], if :: is_left[me] -> r = NOENT :: else -> members[me]++; r = OK fi)
}
inline go_out() { STEP(members[me]--) }

bool leaving[2];

/* src/store/journal.rs */
inline hold() {                 /* Open::hold */
    do
    :: STEP_WHEN(locked[open[me]] == NOBODY, locked[open[me]] = me);
#ifdef FAULT_JOURNAL_NOT_CHECKED_AFTER_LOCKING
       r = OK; break;
#endif
       STEP(r = (journal == open[me] -> OK : NOENT));
       if
       :: r == OK -> break
       :: else ->
            STEP(                                               /* newest */
                if
                :: journal != NONE -> locked[open[me]] = NOBODY; open[me] = journal; r = OK
                :: else -> r = NOENT
                fi);
            if :: r == NOENT -> break :: else fi
       fi
    od
}

inline look() {                 /* Open::look, where compacting is worth it */
    STEP(compactions++; next = NONE);
    STEP(if :: home -> inodes++; next = inodes; r = OK :: else -> r = NOENT fi);
    if
    :: r == OK ->
        STEP(if :: next != NONE -> live[next] = live[open[me]] :: else fi);
        STEP(if :: home && next != NONE -> journal = next; next = NONE; r = OK :: else -> r = NOENT fi);
        if
        :: r == OK ->
            STEP(if :: journal != NONE -> locked[open[me]] = NOBODY; open[me] = journal :: else fi)
        :: else
        fi
    :: else
    fi;
    r = OK
}

inline append(content) {        /* Journal::append */
    STEP_WHEN(!appending[me], appending[me] = true);
    hold();
    if
    :: r == OK ->
        STEP(live[open[me]] = content);
        if
        :: compactions < COMPACTIONS -> look()
        :: true
        fi
    :: else
    fi;
    STEP(if :: locked[open[me]] == me -> locked[open[me]] = NOBODY :: else fi; appending[me] = false)
}

inline register(f) { append(live[open[me]] | bit(f)) }
inline strike(f)   { append(live[open[me]] & ~bit(f)) }

/* src/store/session.rs */
inline make(f) {                /* Session::make */
    enter();
    if
    :: r == OK ->
        register(f);
        if :: r == OK -> STEP(file = file | bit(f)) :: else fi;
        go_out()
    :: else
    fi
}

inline remove(f) {              /* Session::remove */
    STEP(file = file & ~bit(f));
#ifdef FAULT_STRUCK_AFTER_LEAVING
    strike(f)
#else
    enter();
    if :: r == OK -> strike(f); go_out() :: else fi
#endif
}

/* src/store/lock.rs, sweep.rs, remains.rs: in full in session.pml */
inline remove_empty_home() {    /* Dir::remove_dir, which a directory with something in it survives */
    STEP(if :: !lock && journal == NONE && next == NONE -> home = false :: else fi)
}

inline sweep() {
    STEP(
        if
        :: !lock -> r = NOENT
        :: lock && exclusive == NOBODY && !shared -> exclusive = me; r = OK
        :: else -> r = BUSY
        fi);
    if
    :: r == OK ->
        STEP(assert(!shared); file = 0);
        STEP(next = NONE);
        STEP(journal = NONE);
        STEP(lock = false);
        remove_empty_home();
        STEP(exclusive = NOBODY)
    :: r == NOENT -> remove_empty_home()
    :: r == BUSY
    fi
}

inline leave() {                /* Session::leave */
    STEP_WHEN(members[me] == 0, leaving[me] = true);
    STEP(is_left[me] = true; shared = shared & ~bit(me));
    sweep();
    STEP(leaving[me] = false)
}

inline end_of_thread() { d_step { r = 0; i = 0; ended++ } }

proctype Maker() {
    byte me = PARENT, r, i;
    make(0);
    remove(0);
gone:
    end_of_thread()
}

proctype Leaver() {
    byte me = PARENT, r, i;
    leave();
gone:
    end_of_thread()
}

proctype Worker() {
    byte me = WORKER, r, i;
    make(1);
    remove(1);
    leave();
gone:
    end_of_thread()
}

proctype Sweeper() {
    byte me = SWEEPER, r, i;
    sweep();
gone:
    end_of_thread()
}

/* Store::files, in whatever process: opened, then read. */
proctype Reader() {
    byte read, known;
    d_step { read = journal; known = file };
    if
    :: read != NONE -> assert((known & file & ~live[read]) == 0)
    :: else
    fi;
    d_step { read = 0; known = 0 }
}

init {
    byte me = LAST, r, i;
    atomic {
        run Maker(); run Leaver(); run Worker();
        for (i : 0 .. SWEEPERS - 1) { run Sweeper() }
        for (i : 0 .. READERS - 1) { run Reader() }
        i = 0
    }
    ended == THREADS;
    if :: deaths -> sweep() :: else fi;
    assert(!home && !lock && !file && journal == NONE && next == NONE);
gone:
    skip
}
