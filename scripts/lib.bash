# Sourced by the scripts beside it: messages, root and Debian packages, in one voice.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# apt_install WHY PACKAGE...: installs what Debian packages, or ends with the command for somebody who may.
apt_install() {
    local why=$1
    shift
    command -v apt-get >/dev/null || die "$why; this is not a Debian system, so install the like of: $*"
    [[ $EUID -eq 0 ]] || die "$why; as root: apt-get install --no-install-recommends $*"
    say "$why; installing $*"
    # A fresh image carries no package lists, and old lists name packages that are gone.
    apt-get -qq update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# debian_rust: makes sure that /usr/bin/rustc and /usr/bin/cargo are Debian's Rust 1.85.
# They stand beside a toolchain of rustup and do not replace it.
debian_rust() {
    local version
    if version=$(/usr/bin/rustc --version 2>/dev/null) && [[ -x /usr/bin/cargo ]]; then
        # Not replaced by the older one: somebody else may have a use for what is there.
        [[ $version == "rustc 1.85."* ]] || die "needs Rust 1.85 as /usr/bin/rustc, found $version"
        return
    fi
    # `-web` is the newer Rust that Debian 12 carries beside its own 1.63. The libraries are named, for
    # otherwise apt would take their newest version, and refuse.
    apt_install "Debian's Rust 1.85 is missing" 'rustc-web=1.85*' 'cargo-web=1.85*' 'libstd-rust-web-dev=1.85*'
    /usr/bin/cargo --version >&2
}

# use_debian_rust: every tool of the 1.85 toolchain, not whatever PATH or rustup would choose.
use_debian_rust() {
    debian_rust
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
    unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
}
