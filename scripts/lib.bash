# Functions for the scripts: messages, root, and Debian packages.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# apt_install WHY PACKAGE...: installs Debian packages as root, or prints the command and exits.
apt_install() {
    local why=$1
    shift
    command -v apt-get >/dev/null || die "$why; this is not a Debian system, so install the like of: $*"
    [[ $EUID -eq 0 ]] || die "$why; as root: apt-get install --no-install-recommends $*"
    say "$why; installing $*"
    # A new image has no package lists, and old lists name packages that were removed.
    apt-get -qq update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# debian_rust: installs Debian's Rust 1.85 as /usr/bin/rustc and /usr/bin/cargo. A toolchain of
# rustup stays in place.
debian_rust() {
    local version
    if version=$(/usr/bin/rustc --version 2>/dev/null) && [[ -x /usr/bin/cargo ]]; then
        # Do not replace a newer version, which may be in use.
        [[ $version == "rustc 1.85."* ]] || die "needs Rust 1.85 as /usr/bin/rustc, found $version"
        return
    fi
    # `-web` is the newer Rust in Debian 12, besides 1.63. Name the libraries, because apt would
    # choose their newest version and fail.
    apt_install "Debian's Rust 1.85 is missing" 'rustc-web=1.85*' 'cargo-web=1.85*' 'libstd-rust-web-dev=1.85*'
    /usr/bin/cargo --version >&2
}

# use_debian_rust: uses all tools of Rust 1.85, whatever PATH or rustup would choose.
use_debian_rust() {
    debian_rust
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
    unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
}
