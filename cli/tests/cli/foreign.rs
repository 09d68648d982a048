//! Files of other formats. Every subcommand that reads files names the format.

use std::{fs, path::Path, process::Command};

use crate::{
    fixture::volume,
    forge::{Nifti, fits, foreign},
    run::{ndferry, parse},
};

#[test]
fn foreign_files_are_named_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let file = path.to_str().unwrap();
    let out = folder.path().join("out.npy");
    for (bytes, expected) in foreign() {
        fs::write(&path, bytes).unwrap();
        ndferry(["info", file]).assert_failed(file, expected);
        let verify = ndferry(["verify", file]);
        verify.assert_failed(file, expected);
        assert_eq!(verify.stdout, format!("{file}: not an array file\n"));
    }
    fs::write(&path, b"\x1f\x8b\x08").unwrap();
    ndferry(["stats", file]).assert_failed(file, "a gzip file");
    ndferry(["convert", file, out.to_str().unwrap()]).assert_failed(file, "a gzip file");
    let diff = ndferry(["diff", file, file]);
    assert!(diff.code == Some(2) && diff.stderr.contains("a gzip file"), "{diff:?}");
}

#[test]
fn foreign_zarr_store_is_named_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zarr.json"), "{}").unwrap();
    let path = folder.path().to_str().unwrap();
    ndferry(["info", path]).assert_failed(path, "cannot read a zarr store");
    let verify = ndferry(["verify", "--json", path]);
    verify.assert_failed(path, "cannot read a zarr store");
    assert_eq!(parse(&verify.stdout)[0]["verdict"], "not an array file");
}

/// Runs `ndferry info` with the arguments that the error for a file advises, in a shell.
#[track_caller]
fn info_as_advised(path: &Path) -> serde_json::Value {
    let refused = ndferry(["info".as_ref(), path.as_os_str()]);
    let (_, advice) = refused.stderr.split_once("with `--raw ").unwrap();
    let arguments = advice.split('`').next().unwrap();
    let command = format!("{} info --json --raw {arguments} \"$0\"", env!("CARGO_BIN_EXE_ndferry"));
    let output = Command::new("sh").args(["-c", &command]).arg(path).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    parse(&String::from_utf8(output.stdout).unwrap())["arrays"][0].clone()
}

#[test]
fn foreign_images_are_read_with_the_advised_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let volume = volume();
    let array = info_as_advised(&volume.path);
    for key in ["dtype", "shape", "order", "offset"] {
        assert_eq!(array[key], volume.description[key], "{key}");
    }
    let header = Nifti { datatype: 128, axes: &[2, 3, 2], ..Nifti::default() }.header();
    fs::write(&path, [&*header, &[0; 4 + 18]].concat()).unwrap();
    let array = info_as_advised(&path);
    assert_eq!((&array["nbytes"], &array["order"]), (&18.into(), &"F".into()));

    let header = fits(&["BITPIX  = -64", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 3"]);
    fs::write(&path, [&*header, &[0; 96]].concat()).unwrap();
    let array = info_as_advised(&path);
    assert_eq!(array["dtype"], ">f8");
    assert_eq!(array["shape"], serde_json::json!([3, 4]));
}
