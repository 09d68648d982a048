//! The arguments: what can be asked for, and the help that says so.

use std::{path::PathBuf, str::FromStr};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use ndferry::{
    DType,
    array::Order,
    dtype::ByteOrder,
    file::{Compression, OpenOptions, RawLayout},
};

/// Look at, summarise, compare, check and convert files of n-dimensional arrays.
///
/// Reads .ferry, .npy, .npz and .safetensors files, and raw binary described by --raw and --shape; in either byte order. Files are
/// mapped, not loaded, so they may be larger than memory.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = "\
Examples:
  ndferry info survey.npy                    what is in a file
  ndferry stats *.npy                        extremes, mean and spread, on all cores
  ndferry convert survey.npy survey.ferry    between formats and byte orders
  ndferry verify *.ferry                     whether files are as they were written
  ndferry diff survey.npy survey.ferry       whether two files hold the same values
  ndferry sweep                              tidy up after programs that were killed

`ndferry help COMMAND` tells more about one of them."
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Info(InfoArgs),
    #[cfg(target_os = "linux")]
    Stats(StatsArgs),
    Convert(ConvertArgs),
    Verify(VerifyArgs),
    Diff(DiffArgs),
    #[cfg(target_os = "linux")]
    Sweep(SweepArgs),
}

/// Show what arrays a file holds, without reading them
///
/// Arrays are a tree of their names' steps, each branch with the number of arrays and the bytes below it; fields of records stand below
/// their array, each with its bytes and its offset within a record. A terminal that is too narrow gets shorter names and fewer columns.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry info survey.npy
  ndferry info model.ferry --json
  ndferry info --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii")]
pub struct InfoArgs {
    /// The file to look at
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Print JSON for programs instead of a tree for people
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub input: InputArgs,
}

/// Count, minimum, maximum, mean and standard deviation of every array
///
/// Worker processes share the work, each mapping the file and going through it block by block. NaN are counted and left
/// out of the figures; the standard deviation is that of a population. Minimum and maximum of integers are exact. Of an array of
/// records each field that holds numbers has figures of its own. What holds no numbers that have an order is left out, and named; where
/// nothing else was asked for, that is an error. On a terminal each array's histogram is drawn as well.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry stats survey.npy
  ndferry stats --json *.npy > figures.json
  ndferry stats --array model.weight --workers 4 model.ferry
  ndferry stats --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii

The number of workers is that of the cores this process may use, unless --workers or the
environment variable NDFERRY_WORKERS says otherwise.")]
pub struct StatsArgs {
    /// The files to summarise
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// How many worker processes share the work
    #[arg(long, value_name = "N", value_parser = workers, allow_negative_numbers = true)]
    pub workers: Option<usize>,

    /// Only the array of this name, in each file; or the field of this name, as model.stars.mass
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,

    /// Print JSON for programs instead of a table for people
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub input: InputArgs,
}

/// Write a file's arrays to another file: .npy, .npz, .safetensors or .ferry, by its extension
///
/// OUT appears whole or not at all, and may be IN itself. Elements keep their type, byte order and memory order unless an
/// option says otherwise or OUT's format has but one of them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry convert survey.npy survey.ferry
  ndferry convert model.ferry weight.npy --array model.weight
  ndferry convert model.safetensors model.ferry
  ndferry convert old-mac.npy ready.npy --byte-order native
  ndferry convert survey.npy archive.ferry --compress zstd:19
  ndferry convert --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii brain.npy")]
pub struct ConvertArgs {
    /// The file to read
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The file to write, ending in .npy, .npz, .safetensors or .ferry
    #[arg(value_name = "OUT", value_parser = PathBufValueParser::new().try_map(target))]
    pub output: PathBuf,

    /// Byte order of the numbers written [default: as they are]
    #[arg(long, value_name = "ORDER")]
    pub byte_order: Option<TargetByteOrder>,

    /// Memory order of the elements written: C for row-major, F for column-major [default: as it is]. With --raw it tells
    /// that of IN, which is kept
    #[arg(long, value_name = "C|F", value_parser = order)]
    pub order: Option<Order>,

    /// The array to write, where IN holds several
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,

    /// Compress the arrays of a .ferry file: zstd, with a level from 1 to 22 as zstd:19, or lz4. Without it, compressed arrays are
    /// decompressed
    #[arg(long, value_name = "CODEC")]
    pub compress: Option<Compression>,

    /// Begin every array of a .ferry file at a multiple of so many bytes: a power of two from 64 to 2097152
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true)]
    pub align: Option<u64>,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub raw: RawArgs,
}

/// Check files: their structure, then every array against its checksum
///
/// Every file is read to its end, and all that is wrong is told: of which array, and where in the file. .npy and .safetensors
/// files carry no checksums, so of their elements only bool can be seen to be wrong.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry verify model.ferry
  ndferry verify --json *.ferry *.npy

The exit code is 0 where every file is sound, 1 where some file is damaged or is no file of arrays,
and 2 where some file, or something in it, could not be read, or is a directory, a pipe or a device.")]
pub struct VerifyArgs {
    /// The files to check
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub limit: LimitArgs,

    /// Print JSON for programs instead of lines for people
    #[arg(long)]
    pub json: bool,
}

/// Compare the arrays of two files, whatever their formats, byte orders and memory orders
///
/// Arrays are compared by name, between two formats without the backslashes of a .ferry file's names; the only arrays of two
/// files are compared whatever their names. NaN equals NaN, unless an
/// option says otherwise; 0 equals -0. Of elements that differ the first is told by its index, and the largest difference:
/// absolute, and relative to the larger of the two. Nothing is printed where all are the same. What a .ferry file holds
/// besides arrays is not compared.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry diff survey.npy survey.ferry
  ndferry diff --array model.weight monday.ferry tuesday.ferry
  ndferry diff --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii brain.npy

The exit code is that of diff: 0 where all arrays are the same, 1 where some differ, 2 on trouble.")]
pub struct DiffArgs {
    /// The one file; what --raw says is said of it alone
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// The other file, .ferry, .npy, .npz or .safetensors
    #[arg(value_name = "B")]
    pub b: PathBuf,

    /// Only the array of this name, in both files; or the field of this name, as model.stars.mass
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,

    /// Count NaN as different from NaN, and NaT from NaT
    #[arg(long)]
    pub nan_differs: bool,

    /// Print JSON for programs instead of lines for people
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub input: InputArgs,
}

/// Remove temporary files that killed programs left behind, and say what went
///
/// Files of programs that still run are never touched, nor those of other users. Programs sweep by themselves when they
/// begin to share arrays; this does it without one, and also for what NDFERRY_KEEP has kept.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry sweep --dry-run                    what there is, of which program, how much, and since when
  NDFERRY_DIR=/scratch/me ndferry sweep

Looked at are the directory that the environment variable NDFERRY_DIR names, the system's temp
directory and /dev/shm. A program started with NDFERRY_KEEP=1 leaves its files when it is killed, for
you to look at, until this command removes them.")]
pub struct SweepArgs {
    /// Remove nothing: list every session, dead or alive, with its age and size and where it is
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

const RAW: &str = "Raw binary input";

/// What reading may cost.
#[derive(Args)]
pub struct LimitArgs {
    /// Decompress no array of more than so many bytes [default: 4294967296]
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true)]
    limit: Option<u64>,
}

impl LimitArgs {
    /// Opening within the limit.
    pub fn options(&self) -> OpenOptions {
        self.limit.into_iter().fold(OpenOptions::new(), OpenOptions::max_decompressed_bytes)
    }
}

/// How to read an input file.
#[derive(Args)]
pub struct InputArgs {
    #[command(flatten)]
    raw: RawArgs,

    /// Memory order of the raw file: C for row-major, F for column-major [default: C]
    #[arg(long, value_name = "C|F", requires = "raw", value_parser = order, help_heading = RAW)]
    pub order: Option<Order>,
}

impl InputArgs {
    /// What raw binary is said to hold; `None` where the file itself says what it is.
    pub fn layout(&self) -> Option<RawLayout> {
        self.raw.layout(self.order)
    }
}

/// A file without a header, described from outside, but for the memory order of its elements: of that, `convert` has an
/// option that says more.
#[derive(Args)]
pub struct RawArgs {
    /// Read elements of this type, whatever the file claims to be: NumPy's type string, as '>i2' or '<f8', or for records the list
    /// of their fields, as "[('id', '<u4'), ('x', '<f8', (3,))]"
    #[arg(long, value_name = "DTYPE", requires = "shape", help_heading = RAW)]
    pub raw: Option<DType>,

    /// Length of each axis, as 33,41,25; '' for a single number
    #[arg(long, value_name = "N,N,…", requires = "raw", allow_hyphen_values = true, help_heading = RAW)]
    pub shape: Option<Shape>,

    /// Bytes before the first number [default: 0]
    #[arg(long, value_name = "BYTES", requires = "raw", value_parser = bytes, allow_negative_numbers = true, help_heading = RAW)]
    pub offset: Option<u64>,
}

impl RawArgs {
    /// What raw binary is said to hold; `None` where the file itself says what it is.
    pub fn layout(&self, order: Option<Order>) -> Option<RawLayout> {
        let (dtype, shape) = self.raw.clone().zip(self.shape.clone())?;
        Some(
            RawLayout::new(dtype, shape.0)
                .order(order.unwrap_or(Order::C))
                .offset(self.offset.unwrap_or(0)),
        )
    }
}

/// The lengths of an array's axes, as given on the command line.
#[derive(Clone)]
pub struct Shape(pub Vec<usize>);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        // As Python writes it, `3,` has one axis.
        let lengths = text.strip_suffix(',').unwrap_or(text).split(',');
        let length = |length: &str| match length.trim().parse() {
            Ok(length) => Ok(length),
            Err(_) => Err(format!(
                "`{length}` is no length; expected whole numbers with commas, as 33,41,25"
            )),
        };
        Ok(Self(lengths.map(length).collect::<Result<_, _>>()?))
    }
}

/// Byte orders a file can be given.
#[derive(Clone, Copy, ValueEnum)]
pub enum TargetByteOrder {
    /// Least significant byte first
    Little,
    /// Most significant byte first
    Big,
    /// That of this machine, so that the file can be mapped here
    Native,
}

impl From<TargetByteOrder> for ByteOrder {
    fn from(order: TargetByteOrder) -> Self {
        match order {
            TargetByteOrder::Little => Self::Little,
            TargetByteOrder::Big => Self::Big,
            TargetByteOrder::Native => Self::NATIVE,
        }
    }
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::F),
        _ => Err("expected C (row-major) or F (column-major)".into()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a number of bytes, 0 or more".into())
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(workers) if workers > 0 => Ok(workers),
        _ => Err("expected a number of processes, 1 or more".into()),
    }
}

fn target(path: PathBuf) -> Result<PathBuf, String> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("npy" | "npz" | "safetensors" | "ferry") => Ok(path),
        _ => {
            Err("expected a file name ending in .npy, .npz, .safetensors or .ferry, which says the format to write"
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_agree_with_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn shapes_are_read_as_they_are_written() {
        let shape = |text: &str| text.parse::<Shape>().map(|shape| shape.0);
        assert_eq!(shape("33,41,25"), Ok(vec![33, 41, 25]));
        assert_eq!(shape("3, 0"), Ok(vec![3, 0]));
        assert_eq!(shape("7,"), Ok(vec![7]));
        assert_eq!(shape(""), Ok(vec![]));
        for wrong in ["-1,3", ",", "3,,4", "3x4", "99999999999999999999", "1.5"] {
            let message = shape(wrong).unwrap_err();
            assert!(message.contains("expected whole numbers"), "{wrong}: {message}");
        }
    }
}
