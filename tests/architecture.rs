//! Checks the order of the modules, and the places of `unsafe`, by reading the sources.

use std::{collections::BTreeMap, fs};

#[path = "common/sources.rs"]
mod sources;

use sources::{root, sources};

/// The modules, lowest first.
const ORDER: [&str; 13] = [
    "trace", "error", "dtype", "near", "sys", "bytes", "array", "codec", "format", "file", "store",
    "pool", "flow",
];

/// The files and folders that may contain `unsafe`.
const UNSAFE: [&str; 5] = [
    "src/sys/",
    "src/bytes/map/",
    "src/array/cast.rs",
    "src/array/view.rs",
    "src/pool/wire/remote.rs",
];

/// Every source of the library: module, path below the root, text without comments.
fn modules() -> Vec<(String, String, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut modules = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        modules.push((module, name, code));
    }
    assert!(modules.len() > 20, "the sources are there");
    modules
}

/// The names right after `prefix`, those in braces one by one.
fn names_after<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(identifier(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    names.push(identifier(list[start..at].trim_start()));
                    start = at + 1;
                    if letter == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> &str {
    let end =
        text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

#[test]
fn architecture_modules_use_only_lower_ones() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut home: BTreeMap<String, &str> =
        ORDER.iter().map(|module| ((*module).to_owned(), *module)).collect();
    for module in ORDER {
        for name in names_after(&library, &format!(" {module}::")) {
            home.insert(name.to_owned(), module);
        }
    }
    let rank = |module: &str| ORDER.iter().position(|other| *other == module);
    for (module, file, code) in modules() {
        let own = rank(&module)
            .unwrap_or_else(|| panic!("{file}: module {module} is missing from ORDER"));
        for name in names_after(&code, "crate::") {
            let Some(used) = home.get(name) else {
                panic!("{file} uses crate::{name}, which no module exports");
            };
            assert!(
                rank(used).unwrap() <= own,
                "{file} uses crate::{name} of {used}, which is above {module}"
            );
        }
    }
}

#[test]
fn architecture_unsafe_is_allowed_and_explained() {
    for (_, file, _) in modules() {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            assert!(
                UNSAFE.iter().any(|place| file.starts_with(place)),
                "{file}:{} contains unsafe outside the allowed places",
                at + 1
            );
            // The comment is directly above the statement, which may have several lines.
            let is_comment = |line: &&&str| line.trim_start().starts_with("//");
            let above = lines[..at].iter().rev();
            let mut comment = above.skip_while(|line| !is_comment(line)).take_while(is_comment);
            let distance = lines[..at].iter().rev().take_while(|line| !is_comment(line)).count();
            let reason =
                distance < 6 && comment.any(|line| line.trim_start().starts_with("// SAFETY:"));
            assert!(reason, "{file}:{} has unsafe without a `SAFETY:` comment", at + 1);
        }
    }
}

/// A transport to another machine has none of these.
#[test]
fn architecture_pool_engine_needs_no_local_worker() {
    const FORBIDDEN: [&str; 12] = [
        "os::fd",
        "OwnedFd",
        "BorrowedFd",
        "AsFd",
        "Page",
        ".page()",
        "process::id",
        "pid",
        "Pid",
        "sys::socket",
        "sys::process",
        "std::process",
    ];
    let mut files = 0;
    for (_, file, code) in modules() {
        if !file.starts_with("src/pool/engine/") {
            continue;
        }
        files += 1;
        for name in FORBIDDEN {
            assert!(!code.contains(name), "{file} contains `{name}`");
        }
    }
    assert!(files > 5, "the engine is there");
}
