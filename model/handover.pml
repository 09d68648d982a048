/*
 * Files that a worker makes and gives to its parent, and the end of both: handing over, adopting, reaping, leaving.
 *
 * One step is one system call of the code, or one change of what a process knows to be its own, and bears the name of the
 * function that makes it. A frame counts when all of it is in the socket; a process that dies lets go of its lock and of its
 * socket in whichever order the kernel likes.
 */

#ifndef FILES
#define FILES 2         /* results of the worker, one after another */
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

#define PARENT  0
#define WORKER  1
#define SIBLING 2       /* another worker, which has nothing to do */
#define LAST    3       /* who sweeps when all others are gone, and does not die */
#define THREE   3
#define NOBODY  255

#define OK    0
#define NOENT 1
#define BUSY  2

#define bit(n) (1 << (n))

/* The session. */
bool home = true;
byte named;             /* files the journal names */
byte file;              /* files there are */
byte shared = bit(PARENT) | bit(WORKER) | bit(SIBLING);
byte exclusive = NOBODY;

/* Session::own of the two, and the worker's socket. */
byte own[2];
byte sent;              /* whole frames, one a file, in the files' order */
byte received;
bool closing;           /* the parent has said that there will be no more */
bool hung_up;           /* the parent's end of the socket is closed */

/* What the properties speak of. */
byte holds;             /* what the parent has adopted and somebody there still reads */
bool dead[4];
bool waited[4];         /* gone for good: its lock, too */
byte deaths;
byte ended;

#define STEP_WHEN(when, ...) \
    if \
    :: d_step { me != LAST && deaths < DEATHS -> deaths++; dead[me] = true; holds = (me == PARENT -> 0 : holds) } goto gone \
    :: d_step { !dead[me] && (when) -> __VA_ARGS__; assert((file & ~named) == 0 || !home); assert((holds & ~file) == 0) } \
    fi
#define STEP(...) STEP_WHEN(true, __VA_ARGS__)

/* src/store/sweep.rs: in full in session.pml */
inline compete() {              /* sweep::last_out */
    STEP(
        if
        :: !home -> r = NOENT
        :: home && exclusive == NOBODY && !shared -> exclusive = me; r = OK
        :: else -> r = BUSY
        fi);
    if
    :: r == OK ->
        STEP(assert(!holds); file = 0);
        STEP(named = 0; home = false; exclusive = NOBODY)
    :: else
    fi
}

inline remove(f) {              /* Session::remove */
    STEP(own[me] = own[me] & ~bit(f); if :: me == PARENT -> holds = holds & ~bit(f) :: else fi);
    STEP(file = file & ~bit(f));
    STEP(named = named & ~bit(f))
}

/* src/pool/worker.rs: the end of a worker, which its parent wants or has brought about by its own */
inline end_of_worker() {
    STEP_WHEN(closing || hung_up, r = OK);
    STEP(shared = shared & ~bit(me));
    do
    :: compete();
#ifndef FAULT_COMPETES_ONCE
       if
       :: r == BUSY && hung_up && !closing       /* whoever holds it is ending as well */
       :: else -> break
       fi
#else
       break
#endif
    od
}

inline end_of_process() {
    d_step {
        exclusive = (exclusive == me -> NOBODY : exclusive);
        r = 0; f = 0;
        waited[me] = true;
        ended++
    }
}

proctype Worker() {
    byte me = WORKER, r, f;

    do
    :: f < FILES && !closing && !hung_up ->
        STEP(named = named | bit(f));                                   /* Session::make */
        STEP(file = file | bit(f); own[me] = own[me] | bit(f));
        if
        :: true ->
#ifndef FAULT_HANDED_OVER_AFTER_SENDING
            STEP(own[me] = own[me] & ~bit(f));                          /* TempFile::hand_over */
#endif
            STEP(r = OK);                                               /* Channel::send: a part of it */
            STEP(sent++);
#ifdef FAULT_HANDED_OVER_AFTER_SENDING
            if
            :: STEP(own[me] = own[me] & ~bit(f))
            :: remove(f)                                                /* something fails meanwhile */
            fi;
#endif
            f++
        :: remove(f); break                                             /* the result cannot be encoded after all */
        fi
    :: else -> break
    od;
    end_of_worker();
gone:
    shared = shared & ~bit(me);
    end_of_process()
}

proctype Sibling() {
    byte me = SIBLING, r, f;

    end_of_worker();
gone:
    shared = shared & ~bit(me);
    end_of_process()
}

inline adopt() {                /* Incoming::new, Session::adopt */
    STEP(f = received; received++);
    STEP(assert(file & bit(f)); r = OK);
    STEP(own[me] = own[me] | bit(f); holds = holds | bit(f))
}

inline reap() {                 /* Session::reap */
    STEP(list = named);
    f = 0;
    do
    :: f < FILES ->
        if
#ifdef FAULT_REAPED_WHATEVER_IT_ADOPTED
        :: list & bit(f) ->
#else
        :: (list & bit(f)) && !(own[me] & bit(f)) ->
#endif
            STEP(file = file & ~bit(f));
            STEP(named = named & ~bit(f))
        :: else
        fi;
        f++
    :: else -> break
    od;
    f = 0; list = 0;
    STEP(assert((file & ~own[me]) == 0))
}

proctype Parent() {
    byte me = PARENT, r, f, list;
    bool lives;

    do                          /* Process::receive */
    ::
#ifndef FAULT_LIFE_ASKED_AFTER_RECEIVING
       STEP(lives = !waited[WORKER]);
       STEP(if :: received < sent -> r = OK :: else -> r = NOENT fi);
#else
       STEP(if :: received < sent -> r = OK :: else -> r = NOENT fi);
       STEP(lives = !waited[WORKER]);
#endif
#ifdef FAULT_REAPED_BEFORE_RECEIVING
       if :: waited[WORKER] -> reap() :: else fi;
#endif
       if
       :: r == OK ->
            adopt();
            if
            :: remove(f)        /* a result that cannot be decoded, or that nobody keeps */
            :: f = 0
            fi
       :: r != OK && !lives ->  /* Process::post_mortem */
            assert(received == sent);
            break
       :: r != OK && lives && received < FILES && !waited[WORKER] -> skip
       :: r != OK -> break      /* Process::end: its channel closed, it goes by itself */
       fi
    od;
    STEP(closing = true; f = 0);
    STEP_WHEN(waited[WORKER], r = OK);                                  /* Process::finish */
    reap();
    STEP_WHEN(waited[SIBLING], r = OK);
    do
    :: f < FILES && (own[me] & bit(f)) -> remove(f); f++
    :: f < FILES && !(own[me] & bit(f)) -> f++
    :: else -> break
    od;
    STEP(shared = shared & ~bit(me));                                   /* Session::leave */
    compete();
gone:
    if                          /* the kernel closes what it had open, one after another */
    :: shared = shared & ~bit(me); hung_up = true
    :: hung_up = true; shared = shared & ~bit(me)
    fi;
    d_step { list = 0; lives = false };
    end_of_process()
}

init {
    byte me = LAST, r;
    atomic { run Parent(); run Worker(); run Sibling() }
    ended == THREE;
    if
    :: !dead[PARENT] || (!closing && !(dead[WORKER] && dead[SIBLING])) -> skip  /* somebody was there to clean up */
    :: else -> compete()
    fi;
    assert(!home && !file && !named);
gone:
    skip
}
